"""What the parts of a run tell each other: jobs and their outcomes, progress, and the words of a worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from ..records.record import Environment, Failure, Record
from .blocks import Block, Planned


@dataclass(frozen=True)
class Job:
    """A block and the limits it runs within."""

    block: Block
    timeout_s: float
    memory_mb: float
    alone: bool
    """No other block may run beside it."""
    log: Path
    """Where its worker's output goes."""
    finished: Callable[[], bool] = lambda: False
    """Whether another run has finished it meanwhile; asked when its turn comes, after waiting for the timing lock."""


@dataclass(frozen=True)
class Usage:
    """What a job cost, over all processes it started."""

    started: str
    """UTC, ISO 8601."""
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    load_before: float
    load_after: float


@dataclass(frozen=True)
class Finished:
    """A job that ended: with a record, or with a failure."""

    job: Job
    outcome: Record | Failure
    environment: tuple[str, Environment] | None
    """Where it ran, with its hash; None where the worker ended before it could tell."""
    usage: Usage


class Progress(Protocol):
    """Who is told how a run goes on; a progress bar, or nobody."""

    def started(self, block: Block) -> None: ...

    def turned(self, block: Block, done: int, total: int) -> None:
        """`done` of the `total` turns of the block's arms are over, warm-up included."""

    def finished(self, block: Block, ok: bool, seconds: float) -> None: ...

    def said(self, sentence: str) -> None:
        """What people should know now: that nothing goes on and why, or what was cleared away."""

    def added(self, planned: Sequence[Planned]) -> None:
        """So many blocks more than were planned at first."""


class Silent:
    """Nobody is told."""

    def started(self, block: Block) -> None:
        return None

    def turned(self, block: Block, done: int, total: int) -> None:
        return None

    def finished(self, block: Block, ok: bool, seconds: float) -> None:
        return None

    def said(self, sentence: str) -> None:
        return None

    def added(self, planned: Sequence[Planned]) -> None:
        return None


class Budget:
    """Seconds a run may take; None is as long as it takes."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds that remain, never negative; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def ended(self) -> bool:
        return self.left() == 0.0


WORKER = "remeasure.running.worker"
"""What `python -m` runs for a block. A string, because the worker's module stands above its executors."""
SUPERVISOR = "remeasure.running.supervisor"
"""What `python -m` runs around a worker, so that nothing outlives it."""


class Ask(msgspec.Struct, frozen=True):
    """What a worker is asked."""

    block: Block
    budget_s: float | None


class Here(msgspec.Struct, frozen=True, tag=True):
    """First answer: where the worker runs."""

    sha: str
    environment: Environment


class Turned(msgspec.Struct, frozen=True, tag=True):
    """So many turns of arms are over."""

    done: int
    total: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """Last answer: the block's record."""

    record: Record


class Failed(msgspec.Struct, frozen=True, tag=True):
    """Last answer: why there is no record."""

    failure: Failure


Answer = Here | Turned | Done | Failed
