"""What stays in the cache after a request, for how long, and what that saves the next one."""

from __future__ import annotations

import numpy as np
import pytest
from flexserve.served_traces import ALWAYS, CACHE_GIB, COSTS, LARGE, MIDDLE, SMALL, SYSTEMS, TIMEOUT, mixture

from remeasure.impls.flexserve.sim.arrivals import Request
from remeasure.impls.flexserve.sim.catalogue import Catalogue, to_bytes
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.sim.timeline import prefill
from remeasure.impls.flexserve.systems import FLEXSERVE


def ttfts(system, requests, **options):
    return simulate(system, requests, COSTS, **{"cache_gib": CACHE_GIB, **options}).ttft_s


@pytest.mark.parametrize("name", ["FlexServe", "NW-Base", "Strawman", "Strawman-OPT", "TZ-LLM"])
def test_a_first_request_is_a_cold_prefill(name):
    system = SYSTEMS[name]
    alone = prefill(system, MIDDLE, 128, COSTS).ttft_s
    assert ttfts(system, [Request(0.0, MIDDLE, 128, 4)])[0] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("name", ["FlexServe", "Strawman, always", "Strawman-OPT, always"])
def test_a_model_that_stayed_is_only_computed(name):
    system = SYSTEMS[name]
    seen = simulate(system, [Request(t, SMALL, 128, 4) for t in (0.0, 500.0)], COSTS, cache_gib=CACHE_GIB)
    whole = to_bytes(COSTS.weights_gib(SMALL))
    assert seen.hit_bytes.tolist() == [0, whole]
    assert seen.restored_bytes.tolist() == [whole, 0]
    warm = prefill(system, SMALL, 128, COSTS, cached_parts=COSTS.layers(SMALL)).ttft_s
    assert seen.ttft_s[1] == pytest.approx(warm, rel=1e-12)


@pytest.mark.parametrize("name", ["NW-Base", "Strawman", "Strawman-OPT", "TZ-LLM", "FlexServe, cold"])
def test_without_a_cache_every_request_is_cold(name):
    seen = simulate(SYSTEMS[name], [Request(0.0, SMALL, 128, 4)] * 3, COSTS, cache_gib=CACHE_GIB)
    assert not seen.hit_bytes.any() and not seen.cached_bytes.any()
    assert seen.ttft_s[1:] == pytest.approx(seen.ttft_s[0], rel=1e-9)


def test_a_time_out_counts_from_the_end_of_the_last_request():
    first = Request(0.0, SMALL, 128, 100)
    end = simulate(TIMEOUT, [first], COSTS, cache_gib=CACHE_GIB).duration_s
    for idle, kept in ((TIMEOUT.timeout_s - 0.01, True), (TIMEOUT.timeout_s + 0.01, False)):
        seen = simulate(TIMEOUT, [first, Request(end + idle, SMALL, 128, 1)], COSTS, cache_gib=CACHE_GIB)
        assert bool(seen.hit_bytes[1]) is kept


def test_a_whole_model_cache_drops_the_least_recently_used_model():
    order = [MIDDLE, SMALL, "Qwen3-1.7B", SMALL, MIDDLE]
    seen = simulate(
        ALWAYS, [Request(500.0 * i, m, 64, 1) for i, m in enumerate(order)], COSTS, cache_gib=CACHE_GIB
    )
    # 2.99 + 0.56 fit 4 GiB, 1.6 more do not: the 3B model, used longest ago, goes.
    assert (seen.hit_bytes > 0).tolist() == [False, False, False, True, False]


def test_a_cooperative_cache_keeps_a_prefix_of_a_model_that_is_too_large_for_it():
    seen = simulate(FLEXSERVE, [Request(t, LARGE, 64, 1) for t in (0.0, 900.0)], COSTS, cache_gib=CACHE_GIB)
    parts = Catalogue(FLEXSERVE, COSTS).parts(LARGE)
    held = int(np.searchsorted(np.cumsum(parts), to_bytes(CACHE_GIB), side="right"))
    assert seen.hit_bytes[1] == sum(parts[:held])
    assert seen.ttft_s[1] == pytest.approx(prefill(FLEXSERVE, LARGE, 64, COSTS, cached_parts=held).ttft_s)
    assert seen.ttft_s[1] < seen.ttft_s[0]


def test_a_larger_cache_never_costs_hits():
    hits = [
        simulate(FLEXSERVE, mixture(), COSTS, cache_gib=gib).hit_bytes.sum() for gib in (0.0, 1.0, 2.0, 4.0)
    ]
    assert hits == sorted(hits)
    assert hits[0] == 0 < hits[-1]


def test_a_shared_prompt_is_not_computed_again_while_its_kv_is_held():
    def second(system, shared):
        requests = [Request(0.0, SMALL, 400, 2), Request(500.0, SMALL, 500, 2, shared_tokens=shared)]
        return ttfts(system, requests)[1]

    whole = COSTS.layers(SMALL)
    assert second(FLEXSERVE, 400) == pytest.approx(
        prefill(FLEXSERVE, SMALL, 100, COSTS, cached_parts=whole).ttft_s, rel=1e-12
    )
    assert second(FLEXSERVE, 400) < second(FLEXSERVE, 0)
    assert second(ALWAYS, 400) == second(ALWAYS, 0)  # keeps weights, no KV
