"""The event loop: order, ties, stopping, refusals."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.common.events import Loop


class LastFirst(Loop):
    """Mutant: of two calls for the same time the later scheduled is made first."""

    __slots__ = ()

    def at(self, time, act, argument=None):
        self._scheduled -= 2
        super().at(time, act, argument)


class NeverAdvances(Loop):
    """Mutant: calls are made at the time of the first one."""

    __slots__ = ()

    def run(self, until=inf):
        stands = self.now
        heap = sorted(self._heap)
        self._heap.clear()
        for _, _, act, argument in heap:
            self.now = stands
            act(argument)
        return len(heap)


def in_order(kind: type[Loop], times: list[float]) -> bool:
    """Whether calls are made at their time, and those of one time in the order of scheduling."""
    loop = kind()
    seen: list[tuple[float, int]] = []
    for place, time in enumerate(times):
        loop.at(time, lambda place, loop=loop: seen.append((loop.now, place)), place)
    loop.run()
    return seen == sorted((time, place) for place, time in enumerate(times))


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 1e9]) | st.floats(0, 10), max_size=40))
def test_calls_are_made_by_time_and_ties_by_order_of_scheduling(times):
    assert in_order(Loop, times)


@pytest.mark.parametrize("mutant", [LastFirst, NeverAdvances])
def test_the_order_check_catches_a_broken_loop(mutant):
    assert in_order(Loop, [1.0, 1.0, 2.0])
    assert not in_order(mutant, [1.0, 1.0, 2.0])


@given(st.lists(st.floats(0, 3), min_size=1, max_size=30))
def test_the_clock_never_goes_back_while_calls_schedule_calls(delays):
    loop = Loop()
    clock = []

    def act(left):
        clock.append(loop.now)
        if left:
            loop.after(left[0], act, left[1:])

    loop.at(0.0, act, tuple(delays))
    loop.at(1.0, act, tuple(delays))
    assert loop.run() == 2 * (len(delays) + 1)
    assert clock == sorted(clock)


def test_a_call_for_now_runs_after_those_already_scheduled_for_now():
    loop, seen = Loop(), []
    loop.at(1.0, lambda _: loop.after(0.0, seen.append, "made on the way"))
    loop.at(1.0, seen.append, "scheduled before")
    loop.run()
    assert seen == ["scheduled before", "made on the way"]


def test_a_run_stops_after_its_last_moment_and_goes_on_from_there():
    loop, seen = Loop(), []
    for time in (1.0, 2.0, 3.0):
        loop.at(time, seen.append, time)
    assert loop.run(until=2.0) == 2
    assert (seen, loop.now, len(loop)) == ([1.0, 2.0], 2.0, 1)
    assert loop.run() == 1
    assert (seen, loop.now, len(loop)) == ([1.0, 2.0, 3.0], 3.0, 0)


@pytest.mark.parametrize("time", [0.5, -inf, nan])
def test_a_time_that_passed_or_is_no_number_is_refused(time):
    loop = Loop(start=1.0)
    with pytest.raises(ValueError, match="cannot be scheduled"):
        loop.at(time, print)
    assert len(loop) == 0


def test_a_call_that_fails_leaves_the_others_scheduled():
    loop, seen = Loop(), []
    loop.at(1.0, lambda _: 1 / 0)
    loop.at(2.0, seen.append, "second")
    with pytest.raises(ZeroDivisionError):
        loop.run()
    loop.run()
    assert seen == ["second"]


def test_arguments_that_cannot_be_compared_do_not_decide_the_order():
    loop, seen = Loop(), []
    loop.at(1.0, seen.append, {"no": "order"})
    loop.at(1.0, seen.append, object)
    loop.run()
    assert seen == [{"no": "order"}, object]
