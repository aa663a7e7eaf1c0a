"""The device's memory counters: every byte has one owner, and applications get what inference leaves."""

from __future__ import annotations

import pytest
from flexserve.memory_steps import keeps_whole
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim.memory import Memory

TOTAL = 1000
MODELS = st.sampled_from(["a", "b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("apps_want"), st.integers(0, 1200), st.integers(0, 1200)),
        st.tuples(st.just("hold_weights"), MODELS, st.dictionaries(st.integers(0, 5), st.integers(1, 200))),
        st.tuples(st.just("hold_kv"), MODELS, st.integers(0, 300)),
        st.tuples(st.just("drop_weights"), MODELS, st.sets(st.integers(0, 5)), st.booleans()),
        st.tuples(st.just("drop_kv"), MODELS, st.booleans()),
        st.tuples(st.just("scrubbed"), st.integers(0, 500)),
    ),
    max_size=30,
)


def books_stay_sound(kind: type[Memory], steps: list[tuple]) -> bool:
    """Whether the books are without fault after every step; a step that is refused changes nothing."""
    memory = kind(TOTAL)
    return all(keeps_whole(memory, step, memory.counters) and not memory.faults() for step in steps)


class LosesClaimed(Memory):
    """Mutant: claimed bytes are counted nowhere."""

    def _give(self, nbytes, claimed):
        return nbytes if claimed else super()._give(nbytes, claimed)


class KeepsFromApps(Memory):
    """Mutant: what comes free is not offered to applications."""

    def _back_to_apps(self):
        pass


class TakesTwice(Memory):
    """Mutant: parts that are held already are taken again."""

    def hold_weights(self, model, parts):
        self.flex_weight += self._take(sum(parts.values()), model)
        self.weights.setdefault(model, {}).update(parts)


class OvercommitsFree(Memory):
    """Mutant: memory is always taken from what is free."""

    def _take(self, nbytes, what):
        self.free -= nbytes
        return nbytes


@given(STEPS)
def test_counters_sum_to_the_device_and_to_their_parts_after_every_step(steps):
    assert books_stay_sound(Memory, steps)


@pytest.mark.parametrize("mutant", [LosesClaimed, KeepsFromApps, TakesTwice, OvercommitsFree])
def test_the_check_of_the_books_catches_a_broken_ledger(mutant):
    steps = [
        ("apps_want", 600, 300),
        ("hold_weights", "a", {0: 100, 1: 100}),
        ("hold_weights", "a", {0: 100, 1: 100}),
        ("drop_weights", "a", {1}, True),
        ("scrubbed", 100),
        ("drop_weights", "a", {0}, False),
    ]
    assert books_stay_sound(Memory, steps)
    assert not books_stay_sound(mutant, steps)


def test_weights_take_free_memory_then_file_cache_then_what_is_swapped_out():
    memory = Memory(TOTAL)
    memory.apps_want(600, 300)
    memory.hold_weights("a", {0: 100})
    assert (memory.free, memory.app_cache, memory.app_anon) == (0, 300, 600)
    memory.hold_weights("a", {1: 250})
    assert (memory.app_cache, memory.app_anon) == (50, 600)
    memory.hold_kv("a", 100)
    assert (memory.app_cache, memory.app_anon) == (0, 550)
    assert memory.missed_by_apps == 350


def test_memory_given_back_goes_to_applications_that_miss_some():
    memory = Memory(TOTAL)
    memory.hold_weights("a", {0: 400, 1: 400})
    memory.apps_want(500, 100)
    assert memory.missed_by_apps == 400
    memory.drop_weights("a", [1])
    assert (memory.app_anon, memory.app_cache, memory.missed_by_apps, memory.free) == (500, 100, 0, 0)


def test_claimed_memory_is_nobodys_until_it_is_scrubbed():
    memory = Memory(TOTAL)
    memory.hold_weights("a", {0: 800})
    memory.apps_want(500, 0)
    memory.drop_weights("a", [0], claimed=True)
    assert (memory.claimed, memory.app_anon, memory.held) == (800, 200, 800)
    memory.scrubbed(800)
    assert (memory.claimed, memory.app_anon, memory.free) == (0, 500, 500)


def test_weights_larger_than_what_can_be_taken_are_refused_in_a_sentence():
    memory = Memory(TOTAL)
    memory.hold_weights("a", {0: 700})
    with pytest.raises(UserError, match="do not fit"):
        memory.hold_weights("b", {0: 400})
    assert "b" not in memory.weights
