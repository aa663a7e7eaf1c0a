"""Streams of requests and the load of other applications."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.sim.arrivals import Request, Step, Steps, dispatched, merged, poisson, workflow


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=20, unique=True),
    st.lists(st.floats(0, 2e6), max_size=20),
)
def test_a_load_in_steps_is_what_a_walk_over_its_steps_finds(times, asked):
    steps = Steps(tuple(sorted(times)), tuple(float(i) for i in range(len(times))))
    for time in (*asked, *times):
        begun = [i for i, change in enumerate(steps.changes_s) if change <= time]
        assert steps(time) == (begun[-1] if begun else 0)
        later = [change for change in steps.changes_s if change > time]
        assert steps.next_change(time) == (later[0] if later else None)


@pytest.mark.parametrize(("times", "levels"), [((), ()), ((0.0,), (1.0, 2.0)), ((1.0, 1.0), (1.0, 2.0))])
def test_a_load_that_is_no_function_of_time_is_refused(times, levels):
    with pytest.raises(ValueError, match="load of other applications"):
        Steps(times, levels)


def test_independent_users_come_at_their_rate_and_again_with_their_seed():
    times = list(poisson(per_hour=60, hours=100, seed=1))
    assert times == sorted(times) == list(poisson(60, 100, 1)) != list(poisson(60, 100, 2))
    assert 0.95 < len(times) / 6000 < 1.05
    assert times[-1] < 100 * 3600


def test_dispatch_gives_models_equal_chances():
    requests = list(dispatched(range(3000), ["a", "b", "c"], lambda rng: (64, 8), seed=0))
    assert all(900 < sum(r.model == name for r in requests) < 1100 for name in "abc")
    assert requests == list(dispatched(range(3000), ["a", "b", "c"], lambda rng: (64, 8), seed=0))


def test_a_run_of_a_workflow_is_asked_for_at_once_and_ends_with_its_last_call():
    steps = [Step("a", 64, 8), Step("b", 32, 4)]
    assert list(workflow([5.0, 9.0], "agent", steps)) == [
        Request(5.0, "a", 64, 8, "agent#0", False),
        Request(5.0, "b", 32, 4, "agent#0", True),
        Request(9.0, "a", 64, 8, "agent#1", False),
        Request(9.0, "b", 32, 4, "agent#1", True),
    ]


def test_streams_are_merged_by_time_without_being_read_ahead():
    def endless(model):
        time = 0.0
        while True:
            yield Request(time, model, 64, 1)
            time += 1

    first = list(islice(merged(endless("a"), endless("b")), 4))
    assert [(r.at_s, r.model) for r in first] == [(0.0, "a"), (0.0, "b"), (1.0, "a"), (1.0, "b")]
