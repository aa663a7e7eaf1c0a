"""Blocks of the toy systems, planned as a user would, and what carries and watches them."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

import psutil

from remeasure.declared.registry import registry
from remeasure.records.record import Record
from remeasure.records.store import Store
from remeasure.running.blocks import Block, Planned, plan
from remeasure.running.messages import SUPERVISOR, WORKER, Budget, Finished, Job, Progress, Silent, Usage
from remeasure.running.runner import run_block


def planned(store: Store, *systems: str, profile: str = "smoke", **filters: Any) -> list[Planned]:
    return plan(registry(), store, profile=profile, systems=systems or ("toysys",), **filters)


def faulty(store: Store, fault: str, **limits: float) -> Planned:
    (item,) = planned(store, "faulty", seeds=[1], overrides={"fault": fault})
    return replace(item, **limits)


def ids(items: Sequence[Planned]) -> list[str]:
    return [item.block.id for item in items]


class Log(Silent):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.turns: list[tuple[int, int]] = []

    def started(self, block: Block) -> None:
        self.events.append(("started", block.id))

    def turned(self, block: Block, done: int, total: int) -> None:
        self.turns.append((done, total))

    def finished(self, block: Block, ok: bool, seconds: float) -> None:
        self.events.append(("finished", block.id))

    def said(self, sentence: str) -> None:
        self.events.append(("said", sentence))


class InProcess:
    """An engine that carries blocks pickled, as one on other machines would; and may spend the budget."""

    def __init__(self, change: Callable[[Record], Record] = lambda record: record) -> None:
        self.change = change

    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        for job in jobs:
            if budget.ended:
                return
            function, block = pickle.loads(pickle.dumps((run_block, job.block)))
            record = self.change(function(block))
            usage = Usage(record.provenance.started, 1.0, 1.0, 1.0, 0.0, 0.0)
            yield Finished(job, record, None, usage)


def workers_of(pid: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if WORKER in process.cmdline() and SUPERVISOR not in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found
