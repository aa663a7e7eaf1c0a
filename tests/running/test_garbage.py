"""Garbage between rounds: what was prepared anew goes each time, what rounds leave stays bounded."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from remeasure.contracts import Arm, At, Case, Metric
from remeasure.running.garbage import OLD, quiet_gc
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


def test_it_is_left_as_it_was_whatever_happens() -> None:
    assert gc.isenabled()
    with pytest.raises(ValueError), quiet_gc():
        assert not gc.isenabled()
        raise ValueError
    assert gc.isenabled() and gc.get_freeze_count() == 0
