"""A run measures what is missing and keeps it, with any engine and any budget."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from running.toy_blocks import InProcess, Log, planned

from remeasure.errors import UserError
from remeasure.package import PACKAGE
from remeasure.records.record import Failure, Record
from remeasure.records.store import Store
from remeasure.running import runner
from remeasure.running.executors.local import LocalExecutor
from remeasure.running.messages import Budget, Finished, Job, Progress, Usage
from remeasure.running.runner import Outcome, run, run_block

pytestmark = pytest.mark.usefixtures("toys")


@pytest.mark.alone
def test_a_run_measures_what_is_missing_and_the_next_one_nothing(store: Store) -> None:
    log, seen = Log(), list[str]()
    cases = ["loop-time", "prediction"]
    first = planned(store, cases=cases, seeds=[1, 2])
    outcome = run(
        first, store, LocalExecutor(2), progress=log, on_record=lambda record: seen.append(record.key)
    )
    assert {block.key for block in outcome.done} == {item.block.key for item in first} == set(seen)
    assert (outcome.cached, outcome.failed, outcome.not_started) == ((), (), ())
    records = store.read_all()
    assert [record.key for record in records] == sorted(seen)
    assert {record.provenance.environment for record in records} == set(store.environments)
    (environment,) = store.environments.values()
    assert environment.threads["OMP_NUM_THREADS"] == "1"
    assert all(record.provenance.wall_s > 0 and record.provenance.cpu_s > 0 for record in records)
    assert log.turns and all(done <= total for done, total in log.turns)
    # What is timed ran with nothing beside it, after everything else.
    events = [event for event in log.events if event[0] != "said"]
    timed = [index for index, (_, name) in enumerate(events) if "loop-time" in name]
    assert timed == [4, 5, 6, 7]
    assert [what for what, _ in events[4:]] == ["started", "finished"] * 2

    again = planned(store, cases=cases, seeds=[1, 2])
    assert all(item.cached and item.last_seconds for item in again)
    outcome = run(again, store, LocalExecutor(2))
    assert (len(outcome.done), len(outcome.cached)) == (0, 4)
    assert store.read_all() == records
    third = planned(store, cases=cases, seeds=[2, 3])
    assert [item.cached for item in third] == [True] * 2 + [False] * 2


def test_no_block_is_begun_once_the_budget_has_ended_and_the_outcome_says_which(store: Store) -> None:
    items = planned(store)
    outcome = run(items, store, LocalExecutor(2), budget_s=0.0)
    assert outcome == Outcome(
        planned=tuple(items),
        done=(),
        cached=(),
        failed=(),
        not_started=tuple(item.block for item in items),
        cut_short=(),
    )
    assert store.read_all() == []


def test_a_block_that_the_budget_cut_short_is_kept_named_and_measured_again(store: Store) -> None:
    items = planned(store, cases=["prediction"], seeds=[1])

    def cut(record: Record) -> Record:
        return msgspec.structs.replace(record, budget_ended=True)

    outcome = run(items, store, InProcess(cut))
    assert outcome.cut_short == outcome.done == (items[0].block,)
    assert store.read_all()[0].budget_ended
    again = planned(store, cases=["prediction"], seeds=[1])
    assert not again[0].cached
    assert run(again, store, InProcess()).cut_short == ()
    assert planned(store, cases=["prediction"], seeds=[1])[0].cached


def test_another_engine_can_carry_the_blocks(store: Store) -> None:
    outcome = run(planned(store, tags=["quality"]), store, InProcess())
    assert len(outcome.done) == len(store.read_all()) == 3


def test_a_damaged_record_is_measured_anew(store: Store) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[1])
    run([item], store, InProcess())
    whole = store.read(item.block.key)
    path = store.path(whole)
    path.write_bytes(path.read_bytes()[:100])
    (again,) = planned(store, cases=["prediction"], seeds=[1])
    assert not again.cached
    run([again], store, InProcess())
    assert store.read(item.block.key).samples == whole.samples


def test_code_that_is_edited_while_it_runs_is_a_failure_and_never_served(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look at the code finds another than the first."""
    (item,) = planned(store, cases=["prediction"], seeds=[1])
    looks = iter([item.block.key])
    real = runner.fingerprint

    def edited(system: Any, card: Any) -> str:
        return str(real(system, card)) if next(looks, None) else "edited"

    monkeypatch.setattr(runner, "fingerprint", edited)
    with pytest.raises(UserError, match=": code changed while it was measured"):
        run_block(item.block)


class Failing:
    """An engine whose blocks all fail in the same way, before they could tell where they ran."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure

    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        usage = Usage("2026-01-02T03:04:05+00:00", 1.0, 2.0, 3.0, 4.0, 5.0)
        yield from (Finished(job, self.failure, None, usage) for job in jobs)


def kept(store: Store, text: str, **filters: Any) -> Failure:
    """The failure of a block as it is written down, where everything that it says is `text`."""
    said = Failure(kind="error", message=text, traceback=text, log_tail=text)
    items = planned(store, cases=["prediction"], seeds=[1], **filters)
    run(items, store, Failing(said))
    failure = store.read(items[0].block.key).failure
    assert failure
    return failure


def test_a_failure_is_kept_with_its_cost_and_is_not_cut_short(store: Store) -> None:
    items = planned(store, cases=["prediction"], seeds=[1])
    outcome = run(items, store, Failing(Failure(kind="killed", message="Gone.")))
    assert (outcome.failed, outcome.cut_short) == ((items[0].block,), ())
    (record,) = store.read_all()
    assert not record.budget_ended
    assert (record.samples, record.contract, record.provenance.environment) == ({}, "", "")
    found = record.provenance
    cost = (found.wall_s, found.cpu_s, found.peak_rss_mb, found.load_before, found.load_after)
    assert cost == (1.0, 2.0, 3.0, 4.0, 5.0)


def test_folders_of_this_machine_are_called_what_they_are_in_all_that_a_failure_says(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home, data, modules = tmp_path / "home", tmp_path / "data", tmp_path / "modules"
    work = home / "work"
    for folder in (work, data, modules):
        folder.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[1] / "toy/mirror/toydata/scores.tsv", data)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    monkeypatch.syspath_prepend(modules)
    monkeypatch.setattr(sys, "prefix", "/of/this/venv")
    monkeypatch.setattr(sys, "base_prefix", "/of/python")
    names = {
        home / "a": "~/a",
        work / "b": "./b",
        data / "c": "DIR/c",
        modules / "d": "modules/d",
        PACKAGE / "e": "remeasure/e",
        Path("/of/this/venv/f"): "python/f",
        Path("/of/python/g"): "python/g",
        Path("/elsewhere/h"): "/elsewhere/h",
    }
    failure = kept(store, " ".join(map(str, names)), data_dir=str(data))
    assert failure.message == failure.traceback == failure.log_tail == " ".join(names.values())


def test_a_short_folder_is_called_what_it_is_and_the_root_is_not(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/r")
    monkeypatch.chdir("/")
    assert kept(store, "/r/x /other/y").message == "~/x /other/y"


@pytest.fixture
def terminated() -> Iterator[list[int]]:
    """How often this process was told to end while nothing in it wanted to know."""
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: told.append(number))
    yield told
    signal.signal(signal.SIGTERM, before)


def test_a_run_that_is_told_to_end_ends_as_after_ctrl_c_and_only_then(
    store: Store, terminated: list[int]
) -> None:
    def end(record: Record) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    items = planned(store, cases=["prediction"], seeds=[1, 2])
    with pytest.raises(KeyboardInterrupt):
        run(items, store, InProcess(), on_record=end)
    assert (len(store.read_all()), terminated) == (1, [])
    os.kill(os.getpid(), signal.SIGTERM)
    assert terminated == [signal.SIGTERM]


def test_a_run_in_another_thread_leaves_signals_alone(store: Store, terminated: list[int]) -> None:
    def end(record: Record) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    items = planned(store, cases=["prediction"], seeds=[1])
    with ThreadPoolExecutor(1) as threads:
        outcome = threads.submit(run, items, store, InProcess(), on_record=end).result()
    assert (len(outcome.done), terminated) == (1, [signal.SIGTERM])
