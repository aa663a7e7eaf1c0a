"""The monitor by itself: pages follow the bytes of the device's memory, and what is claimed is scrubbed in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

import pytest
from flexserve.broken_monitors import (
    ForgetsToProtect,
    LosesKV,
    NeverScrubs,
    ReleasesAtClaim,
    ReleasesUnscrubbed,
)
from flexserve.memory_steps import keeps_whole
from flexserve.watched_pages import Watched, faults
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.policy.pages import PAGE_BYTES, State
from remeasure.impls.flexserve.policy.runs import Extent
from remeasure.impls.flexserve.sim import monitor as monitor_module
from remeasure.impls.flexserve.sim.memory import Memory
from remeasure.impls.flexserve.sim.monitor import Monitor, _first, _joined, pages, weights_of

MODELS = ("a", "b")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("hold_weights"),
            st.sampled_from(MODELS),
            st.dictionaries(st.integers(0, 4), st.integers(0, 5 * PAGE_BYTES)),
        ),
        st.tuples(st.just("hold_kv"), st.sampled_from(MODELS), st.integers(0, 9 * PAGE_BYTES)),
        st.tuples(
            st.just("drop_weights"), st.sampled_from(MODELS), st.sets(st.integers(0, 4)), st.booleans()
        ),
        st.tuples(st.just("drop_kv"), st.sampled_from(MODELS), st.booleans()),
        st.tuples(st.just("scrubbed"), st.integers(0, 9 * PAGE_BYTES)),
    ),
    max_size=30,
)


def pages_follow(steps: list[tuple], kind: type[Monitor] = Monitor) -> bool:
    """Whether pages and bytes agree after every step; one that is refused changes neither."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "Ledger", Watched)
        memory = Memory(40 * PAGE_BYTES, kind(40 * PAGE_BYTES))
    return all(
        keeps_whole(memory, step, lambda: (memory.counters(), memory.monitor.ledger.pieces()))
        and not faults(memory, None)
        for step in steps
    )


@given(STEPS)
def test_pages_follow_the_bytes_and_what_does_not_fit_changes_neither(steps):
    assert pages_follow(steps)


@pytest.mark.parametrize(
    "mutant", [ReleasesAtClaim, ReleasesUnscrubbed, NeverScrubs, ForgetsToProtect, LosesKV]
)
def test_the_check_of_steps_catches_a_broken_monitor(mutant):
    steps = [
        ("hold_weights", "a", {0: 3 * PAGE_BYTES, 1: PAGE_BYTES + 1}),
        ("hold_kv", "a", 10),
        ("drop_weights", "a", {0}, True),
        ("scrubbed", 2 * PAGE_BYTES),
        ("scrubbed", PAGE_BYTES),
    ]
    assert pages_follow(steps)
    assert not pages_follow(steps, mutant)


def test_parts_are_whole_pages_and_a_growing_cache_takes_what_it_lacks():
    monitor = Monitor(10 * PAGE_BYTES)
    assert monitor.hold("m", {0: 1, 1: PAGE_BYTES + 1}) and monitor.ledger.count(owner="m") == 3
    assert monitor.hold("k", {0: 1}) and monitor.hold("k", {0: PAGE_BYTES})
    assert monitor.ledger.count(owner="k") == 1
    assert monitor.hold("k", {0: PAGE_BYTES + 1}) and monitor.ledger.count(owner="k") == 2
    assert not monitor.hold("m", {2: 5 * PAGE_BYTES + 1})
    assert monitor.ledger.count(State.NW) == 5 and pages(0) == 0


def test_claimed_pages_are_scrubbed_in_the_order_they_were_claimed_once_their_bytes_are():
    monitor = Monitor(10 * PAGE_BYTES)
    monitor.hold("m", {0: 2 * PAGE_BYTES, 1: 3 * PAGE_BYTES})
    monitor.drop("m", [1], claimed=True)
    monitor.drop("m", [0], claimed=True)
    monitor.scrub(2 * PAGE_BYTES + 1)
    assert [monitor.ledger.state(page) for page in range(5)] == [State.CLAIMED] * 2 + [State.NW] * 2 + [
        State.CLAIMED
    ]
    monitor.scrub(0)
    assert not monitor.ledger.protected


@given(st.sets(st.integers(0, 30)), st.integers(0, 31))
def test_joined_and_dealt_pages_are_the_same_pages(numbers: set[int], taken: int) -> None:
    extents = _joined(Extent(number, 1) for number in numbers)
    assert [p for e in extents for p in range(e.start, e.start + e.pages)] == sorted(numbers)
    assert all(before.end < after.start for before, after in pairwise(extents))
    queue, taken = deque(extents), min(taken, len(numbers))
    listed = [p for part in (_first(queue, taken), queue) for e in part for p in range(e.start, e.end)]
    assert listed == sorted(numbers)


def test_faults_name_the_owner_whose_pages_are_wrong():
    held: Mapping[str, Mapping[int, int]] = {"a": {0: PAGE_BYTES}}
    monitor = Monitor(10 * PAGE_BYTES)
    assert monitor.faults(held, {}, 0) == [f"{weights_of('a')} has 0 protected pages, not 1"]
    monitor.hold(weights_of("a"), held["a"])
    assert monitor.faults(held, {}, 0) == []
    assert monitor.faults({}, {}, 0) and monitor.faults(held, {}, 1) and monitor.faults(held, {"a": 1}, 0)
