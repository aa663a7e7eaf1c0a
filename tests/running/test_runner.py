"""A run measures what is missing and keeps it, with any engine and any budget."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from running.toy_blocks import InProcess, Log, planned

from remeasure.errors import UserError
from remeasure.records.record import Record
from remeasure.records.store import Store
from remeasure.running import runner
from remeasure.running.executors.local import LocalExecutor
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
    assert all(done <= total for done, total in log.turns)
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
    with pytest.raises(UserError, match="code changed while it was measured"):
        run_block(item.block)
