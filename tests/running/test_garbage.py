"""Garbage between rounds: what was prepared anew goes each time, what rounds leave stays bounded."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from remeasure.contracts import Arm, At, Case, Metric
from remeasure.running import garbage
from remeasure.running.garbage import OLD, Garbage, quiet_gc
from remeasure.running.measure import measure

CPU = Metric("CPU", unit="s", better="lower", kind="time", per="round")


class Cycle:
    """Goes only with a collection."""

    def __init__(self) -> None:
        self.itself = self


def case_of(prepare: Callable[[], Callable[[], Any]], fresh: bool) -> Case:
    arms = (Arm("a", "strawman", None), Arm("b", "reference", None))
    return Case(
        "c", "?", lambda arm, data, seed: prepare(), "none", None, arms, (CPU,), {"tiny": At()}, fresh=fresh
    )


def test_what_is_prepared_anew_is_let_go_of_every_round() -> None:
    alive: weakref.WeakSet[Cycle] = weakref.WeakSet()
    most = 0

    def prepare() -> Callable[[], None]:
        held = Cycle()
        alive.add(held)

        def run() -> None:
            nonlocal most
            most = max(most, len(alive))
            assert held.itself is held

        return run

    measure(case_of(prepare, fresh=True), None, 1, 20)
    assert most <= 4


def test_cycles_that_rounds_leave_stay_bounded() -> None:
    alive: weakref.WeakSet[Cycle] = weakref.WeakSet()
    most = 0

    def prepare() -> Callable[[], None]:
        def run() -> None:
            nonlocal most
            alive.update(Cycle() for _ in range(2_000))
            most = max(most, len(alive))

        return run

    measure(case_of(prepare, fresh=False), None, 1, 60)
    assert most < 2 * OLD


def test_no_collection_happens_within_a_round() -> None:
    seen: list[str] = []
    warming: list[str] = []

    def prepare() -> Callable[[], None]:
        def run() -> None:
            gc.callbacks.append(watch)
            [[] for _ in range(5_000)]
            gc.callbacks.remove(watch)

        return run

    def watch(phase: str, info: dict[str, int]) -> None:
        (warming if gc.isenabled() else seen).append(phase)

    measure(case_of(prepare, fresh=False), None, 1, 5)
    assert warming, "what a round does would make Python collect, were it not kept from it"
    assert seen == []


class FakeGc:
    """Collections that free as many objects as told, of as many young ones as told."""

    WHOLE = 2

    def __init__(self) -> None:
        self.young = 0
        self.frees = {0: 0, self.WHOLE: 0}
        self.ran: list[int] = []

    def get_count(self) -> tuple[int, int, int]:
        return self.young, 10**6, 10**6

    def collect(self, generation: int = WHOLE) -> int:
        self.ran.append(generation)
        return self.frees[generation]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeGc:
    fake = FakeGc()
    monkeypatch.setattr(garbage, "gc", fake)
    return fake


def after(collector: Garbage, fake: FakeGc, young: int, frees: int = 0, of_all: int = 0) -> list[int]:
    """The generations collected after a round that made so many objects."""
    fake.young, fake.frees, fake.ran = young, {0: frees, fake.WHOLE: of_all}, []
    collector.collect()
    return fake.ran


def test_young_objects_are_collected_from_seven_hundred_and_one_on(fake: FakeGc) -> None:
    collector = Garbage(all_of_it=False)
    assert after(collector, fake, 700) == []
    assert after(collector, fake, 701) == [0]
    assert after(Garbage(all_of_it=True), fake, 1) == [fake.WHOLE]


def test_all_are_looked_at_once_fifty_thousand_outlived_and_then_when_they_have_doubled(
    fake: FakeGc,
) -> None:
    collector = Garbage(all_of_it=False)
    assert after(collector, fake, 30_000, frees=5_000) == [0]
    assert after(collector, fake, 25_000) == [0]  # 50 000 outlived
    assert after(collector, fake, 1_000, frees=999, of_all=10_001) == [0, fake.WHOLE]  # 40 000 are left
    assert after(collector, fake, 40_000) == [0]
    assert after(collector, fake, 1_000, frees=999, of_all=20_001) == [0, fake.WHOLE]  # 60 000 are left
    assert after(collector, fake, 60_000) == [0]  # and a hundred thousand would not be enough
    assert after(collector, fake, 1_000, frees=999) == [0, fake.WHOLE]


def test_what_was_garbage_before_is_gone_and_what_lives_is_not_looked_at() -> None:
    gc.disable()
    try:
        gone = weakref.ref(Cycle())
        assert gone() is not None
        with quiet_gc():
            assert gone() is None
            assert gc.get_freeze_count() > 0
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_is_left_as_it_was_whatever_happens() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError), quiet_gc():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled() and gc.get_freeze_count() == 0
