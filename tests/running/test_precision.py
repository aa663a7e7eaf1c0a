"""More processes where an interval is too wide: which seeds, after how many, and never because of a near miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs
from running.toy_blocks import InProcess, Log

from remeasure.contracts import At, Case
from remeasure.declared.registry import Registry, System, registry
from remeasure.records.record import Record
from remeasure.records.store import Store
from remeasure.running.blocks import LOOKS, Planned, later_seeds, plan
from remeasure.running.precision import further
from remeasure.running.runner import Outcome, run

pytestmark = pytest.mark.usefixtures("toys")


def wanting(monkeypatch: pytest.MonkeyPatch, seeds: Sequence[int] = tuple(range(8))) -> Registry:
    """The toy, whose loop wants a precision; no other case does."""
    found = registry()
    at = At(seeds=tuple(seeds), rounds=1, set={"steps": 100}, precision={"CPU seconds": 0.1})

    def with_precision(case: Case) -> Case:
        return replace(case, profiles={**case.profiles, "smoke": at}) if case.name == "loop-time" else case

    system = found.system("toysys")
    cases = {name: with_precision(case) for name, case in system.cases.items()}
    monkeypatch.setitem(system.__dict__, "cases", cases)
    assert isinstance(system, System)
    return found


def planned(found: Registry, store: Store) -> list[Planned]:
    return plan(found, store, profile="smoke", systems=["toysys"], cases=["loop-time"])


class Looks:
    """Says enough from a number of processes on, and remembers at how many it was asked."""

    def __init__(self, enough_at: int) -> None:
        self.enough_at = enough_at
        self.asked: list[int] = []

    def __call__(self, records: Sequence[Record]) -> bool:
        self.asked.append(len(records))
        return len(records) >= self.enough_at


def measured(found: Registry, store: Store, looks: Looks, **options: object) -> Outcome:
    more = further(found, store, looks)
    return run(planned(found, store), store, InProcess(), more=more, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("enough_at", "processes", "asked"), [(0, 8, [8]), (9, 12, [8, 12]), (99, 27, [8, 12, 18, 27])]
)
def test_processes_are_added_until_the_interval_is_narrow_and_no_further(
    monkeypatch: pytest.MonkeyPatch, store: Store, enough_at: int, processes: int, asked: list[int]
) -> None:
    found, looks = wanting(monkeypatch), Looks(enough_at)
    outcome = measured(found, store, looks)
    assert looks.asked == asked
    assert [item.block.seed for item in outcome.planned] == list(range(processes))
    assert len(outcome.done) == len(store.read_all()) == processes


def test_it_is_looked_at_only_at_eight_twelve_eighteen_and_twenty_seven(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    found, looks = wanting(monkeypatch, seeds=(5, 3)), Looks(0)
    outcome = measured(found, store, looks)
    assert looks.asked == [8]
    assert [item.block.seed for item in outcome.planned] == [5, 3, 6, 7, 8, 9, 10, 11]
    assert LOOKS == (8, 12, 18, 27)


def test_added_seeds_are_found_again_and_a_run_that_was_stopped_goes_on_to_the_next_look(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    found = wanting(monkeypatch)
    measured(found, store, Looks(9))
    again = planned(found, store)
    assert len(again) == 12 and all(item.cached for item in again)
    store.path(store.read(again[-1].block.key)).unlink()
    looks = Looks(9)
    outcome = measured(found, store, looks)
    assert (len(outcome.cached), len(outcome.done), looks.asked) == (11, 1, [12])


def test_the_budget_ends_the_adding(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    found, looks = wanting(monkeypatch), Looks(99)
    outcome = measured(found, store, looks, budget_s=0.0)
    assert (looks.asked, outcome.done, len(outcome.not_started)) == ([], (), 8)


def test_a_case_with_a_failed_block_gets_no_more(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    found, looks = wanting(monkeypatch), Looks(99)
    items = planned(found, store)
    run(items[:-1], store, InProcess())
    assert further(found, store, looks)(items) == []
    assert looks.asked == []


@pytest.mark.parametrize("changed", [{"status": "failure"}, {"budget_ended": True}])
def test_a_case_with_a_block_that_has_no_whole_result_gets_no_more(
    monkeypatch: pytest.MonkeyPatch, store: Store, changed: dict[str, Any]
) -> None:
    found, looks = wanting(monkeypatch), Looks(99)
    items = planned(found, store)
    run(items, store, InProcess())
    store.write(structs.replace(store.read(items[3].block.key), **changed))
    assert further(found, store, looks)(items) == []
    assert looks.asked == []


def test_what_is_added_is_of_each_case_in_turn_and_of_none_that_wants_no_precision(
    monkeypatch: pytest.MonkeyPatch, store: Store
) -> None:
    found = wanting(monkeypatch)
    cases = found.system("toysys").cases
    at = At(seeds=(9,), set={"users": 10}, precision={"accuracy": 0.1})
    wants = replace(cases["prediction"], profiles={"smoke": at})
    monkeypatch.setitem(cases, "prediction", wants)
    items = plan(found, store, profile="smoke", systems=["toysys"])
    run(items, store, InProcess())
    assert [
        (item.block.case, item.block.seed) for item in further(found, store, Looks(9))(items)
    ] == [
        *(("loop-time", 8), ("prediction", 10), ("loop-time", 9), ("prediction", 11), ("loop-time", 10)),
        *(("prediction", 12), ("loop-time", 11), *(("prediction", seed) for seed in (13, 14, 15, 16))),
    ]  # fmt: skip


def test_seeds_that_were_named_are_all_there_are(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    found, looks = wanting(monkeypatch), Looks(99)
    named = plan(found, store, profile="smoke", systems=["toysys"], cases=["loop-time"], seeds=[1, 2])
    run(named, store, InProcess())
    assert further(found, store, looks)(named) == []
    measured(found, store, Looks(9))  # and adds four seeds
    again = plan(found, store, profile="smoke", systems=["toysys"], cases=["loop-time"], seeds=[1, 2])
    assert [item.block.seed for item in again] == [1, 2]


def test_progress_is_told_of_what_is_added(monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    class Counted(Log):
        total = 0

        def added(self, planned: Sequence[Planned]) -> None:
            self.total += len(planned)

    log = Counted()
    measured(wanting(monkeypatch), store, Looks(9), progress=log)
    assert log.total == 4


def test_later_seeds_follow_the_largest_and_end_at_the_last_look() -> None:
    assert list(later_seeds((3, 9)))[:3] == [10, 11, 12]
    assert len(list(later_seeds((3, 9)))) == LOOKS[-1] - 2
    assert list(later_seeds(range(27))) == list(later_seeds(range(40))) == []
