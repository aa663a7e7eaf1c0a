"""Whatever is served, all counters sum to the device, the cache stays in its budget, and holds prefixes."""

from __future__ import annotations

import pytest
from flexserve.served_traces import CACHE_GIB, COSTS, SYSTEMS, WAVES, mixture, traces
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim import server
from remeasure.impls.flexserve.sim.catalogue import to_bytes
from remeasure.impls.flexserve.sim.memory import Memory
from remeasure.impls.flexserve.sim.residency import Given, Residency
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE


def broken_books(system, requests, background, seed=0) -> list[str]:
    """What is ever wrong with the counters, the cache's size, or what is left between requests."""
    limit = to_bytes(CACHE_GIB)
    wrong: list[str] = []

    def look(time, memory, serving):
        wrong.extend(memory.faults())
        others = sum(memory.weight_bytes(m) for m in memory.weights if m != serving)
        others += sum(n for model, n in memory.kv.items() if model != serving)
        if others > (limit if system.cache != "none" else 0):
            wrong.append(f"the cache holds {others} bytes at {time}")

    try:
        simulate(system, requests, COSTS, cache_gib=CACHE_GIB, background=background, seed=seed, observe=look)
    except UserError as error:
        wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("name", SYSTEMS)
def test_counters_sum_to_the_device_and_the_cache_stays_in_its_budget(name):
    assert broken_books(SYSTEMS[name], mixture(), WAVES) == []


@settings(max_examples=25)
@given(name=st.sampled_from(sorted(SYSTEMS)), trace=traces())
def test_the_books_are_sound_whatever_comes(name, trace):
    assert broken_books(SYSTEMS[name], *trace) == []


class LosesScrubbed(Memory):
    """Mutant: scrubbed pages come back to nobody."""

    def scrubbed(self, nbytes):
        self.claimed -= nbytes


class NeverSettles(Residency):
    """Mutant: everything stays after a request."""

    def settle(self, now, serving):
        return Given(), []


class PrefetchesWithoutLimit(Residency):
    """Mutant: prefetch has no budget."""

    def _limit(self, serving):
        return self.memory.total


@pytest.mark.parametrize(
    ("owner", "mutant"),
    [("Memory", LosesScrubbed), ("Residency", NeverSettles), ("Residency", PrefetchesWithoutLimit)],
)
def test_the_check_of_memory_catches_a_broken_part(owner, mutant, monkeypatch):
    assert broken_books(FLEXSERVE, mixture(), WAVES) == []
    monkeypatch.setattr(server, owner, mutant)
    assert broken_books(FLEXSERVE, mixture(), WAVES)


def only_prefixes(system) -> bool:
    """Whether every cached set is a prefix of its model's layers, at every event."""
    held = []

    def look(time, memory, serving):
        held.extend(sorted(parts) for model, parts in memory.weights.items() if model != serving)

    simulate(system, mixture(), COSTS, cache_gib=CACHE_GIB, background=WAVES, observe=look)
    assert any(held)
    return all(parts == list(range(len(parts))) for parts in held)


@pytest.mark.parametrize("name", ["FlexServe", "FlexServe, no prefetch", "FlexServe, uniform"])
def test_cached_layers_are_a_prefix(name):
    assert only_prefixes(SYSTEMS[name])


@pytest.mark.parametrize("name", ["FlexServe, random layers", "FlexServe, last layers"])
def test_the_check_of_prefixes_tells_other_policies(name):
    assert not only_prefixes(SYSTEMS[name])
