"""Many requests on the modelled device: turns, caches, pressure, prefetch, and the invariants on the way."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import fields, replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim import calibration as calibrated
from remeasure.impls.flexserve.sim import server
from remeasure.impls.flexserve.sim.arrivals import (
    Request,
    Step,
    Steps,
    dispatched,
    merged,
    poisson,
    workflow,
)
from remeasure.impls.flexserve.sim.catalogue import Catalogue, to_bytes
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.memory import Memory
from remeasure.impls.flexserve.sim.outcome import Outcome, Recorder
from remeasure.impls.flexserve.sim.residency import Given, Residency
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.sim.timeline import prefill
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

SMALL, MIDDLE, LARGE = "Qwen3-0.6B", "Llama3.2-3B", "Llama3.1-8B"
ALWAYS, TIMEOUT = replace(STRAWMAN_OPT, cache="always"), replace(STRAWMAN_OPT, cache="timeout")
SYSTEMS = {
    "FlexServe": FLEXSERVE,
    "FlexServe, no prefetch": replace(FLEXSERVE, prefetch=False),
    "FlexServe, synchronous": replace(FLEXSERVE, async_reclaim=False, two_stage=False),
    "FlexServe, random layers": replace(FLEXSERVE, kept="random"),
    "FlexServe, last layers": replace(FLEXSERVE, kept="lru"),
    "FlexServe, uniform": replace(FLEXSERVE, budgets="uniform"),
    "FlexServe, time-out": replace(FLEXSERVE, cache="timeout"),
    "FlexServe, on demand": replace(cold(FLEXSERVE), on_demand=True),
    "FlexServe, cold": cold(FLEXSERVE),
    "NW-Base": NW_BASE,
    "Strawman": STRAWMAN,
    "Strawman, always": replace(STRAWMAN, cache="always"),
    "Strawman-OPT": STRAWMAN_OPT,
    "Strawman-OPT, always": ALWAYS,
    "Strawman-OPT, time-out": TIMEOUT,
    "TZ-LLM": TZLLM_LIKE,
}
CACHE_GIB = 4.0


@pytest.fixture(scope="module")
def costs():
    return Costs(calibrated.read())


def lengths(rng):
    return int(rng.integers(64, 513)), int(rng.integers(1, 60))


def mixture(requests=60, per_hour=90, seed=5, models=(SMALL, MIDDLE, LARGE)):
    """Random dispatch and two workflows that come again and again, in order of time."""
    alone = dispatched(poisson(per_hour, requests / per_hour, seed), models, lengths, seed)
    agents = [
        workflow(
            poisson(per_hour / 4, requests / per_hour, seed + place), name, [Step(m, 128, 40) for m in chain]
        )
        for place, (name, chain) in enumerate(
            {"check": (MIDDLE, SMALL), "guard": (SMALL, SMALL, LARGE)}.items()
        )
    ]
    return merged(alone, *agents)


WAVES = Steps((0.0, 400.0, 700.0, 900.0, 1500.0, 2000.0), (8.0, 13.5, 4.0, 15.9, 2.0, 8.0))


# --- turns ----------------------------------------------------------------------------------------------------------


def one_at_a_time(seen: Outcome) -> bool:
    """Whether no request starts before it was asked for or before the one before has ended."""
    end = seen.start_s + seen.ttft_s + seen.decode_s
    return bool((seen.start_s >= seen.at_s).all() and (seen.start_s[1:] >= end[:-1] - 1e-9).all())


@pytest.mark.parametrize("name", SYSTEMS)
def test_requests_are_served_one_at_a_time_in_order(name, costs):
    seen = simulate(SYSTEMS[name], mixture(), costs, cache_gib=CACHE_GIB)
    assert one_at_a_time(seen)
    assert (np.diff(seen.start_s) >= 0).all()


class StartsWhenAsked(server._Device):
    """Mutant: forgets that a request waited."""

    def _restore(self, turn):
        super()._restore((turn[0], turn[0].at_s))


def test_the_check_of_turns_catches_a_server_that_forgets_waiting(costs, monkeypatch):
    monkeypatch.setattr(server, "_Device", StartsWhenAsked)
    assert not one_at_a_time(simulate(FLEXSERVE, mixture(), costs, cache_gib=CACHE_GIB))


def test_latency_is_waiting_and_prefill_and_decoding(costs):
    requests = [Request(10.0, SMALL, 64, 5), Request(10.0, MIDDLE, 128, 1)]
    seen = simulate(NW_BASE, requests, costs, cache_gib=0.0)
    assert seen.start_s[0] == 10.0
    assert seen.decode_s == pytest.approx([4 * costs.decode_s(SMALL, NW_BASE), 0.0])
    assert seen.start_s[1] == pytest.approx(10.0 + seen.ttft_s[0] + seen.decode_s[0])
    assert seen.latency_s[1] == pytest.approx(seen.start_s[1] - 10.0 + seen.ttft_s[1])
    assert seen.duration_s == pytest.approx(seen.start_s[1] + seen.ttft_s[1])


def test_a_release_of_contiguous_memory_ends_before_the_next_request_starts(costs):
    seen = simulate(STRAWMAN_OPT, [Request(0.0, LARGE, 64, 1)] * 2, costs, cache_gib=0.0)
    pause = seen.start_s[1] - seen.ttft_s[0]
    kv = costs.kv_gib(LARGE, 65)
    assert pause == pytest.approx(costs.reclaim_s(STRAWMAN_OPT, costs.weights_gib(LARGE) + kv), rel=1e-6)


def test_requests_out_of_order_are_refused(costs):
    with pytest.raises(UserError, match="in order of time"):
        simulate(NW_BASE, [Request(5.0, SMALL, 64, 1), Request(4.0, SMALL, 64, 1)], costs, cache_gib=0.0)


def test_an_unknown_model_is_refused(costs):
    with pytest.raises(UserError, match="GPT"):
        simulate(NW_BASE, [Request(0.0, "GPT", 64, 1)], costs, cache_gib=0.0)


def test_a_request_that_cannot_fit_the_device_is_refused(costs):
    with pytest.raises(UserError, match="do not fit"):
        simulate(NW_BASE, [Request(0.0, LARGE, 90_000, 1)], costs, cache_gib=0.0)


@pytest.mark.parametrize("wrong", [{"prompt_tokens": 0}, {"new_tokens": 0}, {"shared_tokens": -1}])
def test_a_request_without_tokens_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one"):
        Request(**{"at_s": 0.0, "model": SMALL, "prompt_tokens": 64, "new_tokens": 1, **wrong})


def test_no_requests_give_an_empty_outcome(costs):
    seen = simulate(FLEXSERVE, [], costs, cache_gib=CACHE_GIB)
    assert len(seen.ttft_s) == 0 == seen.duration_s == seen.stage2_residency


# --- invariants of memory ----------------------------------------------------------------------------------------


def broken_books(costs, system, requests, background, seed=0) -> list[str]:
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
        simulate(system, requests, costs, cache_gib=CACHE_GIB, background=background, seed=seed, observe=look)
    except UserError as error:
        wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("name", SYSTEMS)
def test_counters_sum_to_the_device_and_the_cache_stays_in_its_budget(name, costs):
    assert broken_books(costs, SYSTEMS[name], mixture(), WAVES) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(SYSTEMS)),
    requests=st.lists(
        st.tuples(
            st.floats(0, 60),
            st.sampled_from([SMALL, MIDDLE, LARGE]),
            st.integers(1, 600),
            st.integers(1, 80),
            st.sampled_from(["", "s", "t"]),
            st.booleans(),
            st.sampled_from([0, 50]),
        ),
        max_size=8,
    ),
    levels=st.lists(st.floats(0, 20), min_size=1, max_size=6),
)
def test_the_books_are_sound_whatever_comes(costs, name, requests, levels):
    time, served = 0.0, []
    for gap, *rest in requests:
        time += gap
        served.append(Request(time, *rest))
    background = Steps(tuple(30.0 * place for place in range(len(levels))), tuple(levels))
    assert broken_books(costs, SYSTEMS[name], served, background) == []


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
def test_the_check_of_memory_catches_a_broken_part(owner, mutant, costs, monkeypatch):
    assert broken_books(costs, FLEXSERVE, mixture(), WAVES) == []
    monkeypatch.setattr(server, owner, mutant)
    assert broken_books(costs, FLEXSERVE, mixture(), WAVES)


def only_prefixes(costs, system) -> bool:
    """Whether every cached set is a prefix of its model's layers, at every event."""
    held = []

    def look(time, memory, serving):
        held.extend(sorted(parts) for model, parts in memory.weights.items() if model != serving)

    simulate(system, mixture(), costs, cache_gib=CACHE_GIB, background=WAVES, observe=look)
    assert any(held)
    return all(parts == list(range(len(parts))) for parts in held)


@pytest.mark.parametrize("name", ["FlexServe", "FlexServe, no prefetch", "FlexServe, uniform"])
def test_cached_layers_are_a_prefix(name, costs):
    assert only_prefixes(costs, SYSTEMS[name])


@pytest.mark.parametrize("name", ["FlexServe, random layers", "FlexServe, last layers"])
def test_the_check_of_prefixes_tells_other_policies(name, costs):
    assert not only_prefixes(costs, SYSTEMS[name])


# --- caches ---------------------------------------------------------------------------------------------------------


def ttfts(system, requests, costs, **options):
    return simulate(system, requests, costs, **{"cache_gib": CACHE_GIB, **options}).ttft_s


@pytest.mark.parametrize("name", ["FlexServe", "NW-Base", "Strawman", "Strawman-OPT", "TZ-LLM"])
def test_a_first_request_is_a_cold_prefill(name, costs):
    system = SYSTEMS[name]
    alone = prefill(system, MIDDLE, 128, costs).ttft_s
    assert ttfts(system, [Request(0.0, MIDDLE, 128, 4)], costs)[0] == pytest.approx(alone, rel=1e-12)


@pytest.mark.parametrize("name", ["FlexServe", "Strawman, always", "Strawman-OPT, always"])
def test_a_model_that_stayed_is_only_computed(name, costs):
    system = SYSTEMS[name]
    seen = simulate(system, [Request(t, SMALL, 128, 4) for t in (0.0, 500.0)], costs, cache_gib=CACHE_GIB)
    whole = to_bytes(costs.weights_gib(SMALL))
    assert seen.hit_bytes.tolist() == [0, whole]
    assert seen.restored_bytes.tolist() == [whole, 0]
    warm = prefill(system, SMALL, 128, costs, cached_parts=costs.layers(SMALL)).ttft_s
    assert seen.ttft_s[1] == pytest.approx(warm, rel=1e-12)


@pytest.mark.parametrize("name", ["NW-Base", "Strawman", "Strawman-OPT", "TZ-LLM", "FlexServe, cold"])
def test_without_a_cache_every_request_is_cold(name, costs):
    seen = simulate(SYSTEMS[name], [Request(0.0, SMALL, 128, 4)] * 3, costs, cache_gib=CACHE_GIB)
    assert not seen.hit_bytes.any() and not seen.cached_bytes.any()
    assert seen.ttft_s[1:] == pytest.approx(seen.ttft_s[0], rel=1e-9)


def test_a_time_out_counts_from_the_end_of_the_last_request(costs):
    first = Request(0.0, SMALL, 128, 100)
    end = simulate(TIMEOUT, [first], costs, cache_gib=CACHE_GIB).duration_s
    for idle, kept in ((TIMEOUT.timeout_s - 0.01, True), (TIMEOUT.timeout_s + 0.01, False)):
        seen = simulate(TIMEOUT, [first, Request(end + idle, SMALL, 128, 1)], costs, cache_gib=CACHE_GIB)
        assert bool(seen.hit_bytes[1]) is kept


def test_a_whole_model_cache_drops_the_least_recently_used_model(costs):
    order = [MIDDLE, SMALL, "Qwen3-1.7B", SMALL, MIDDLE]
    seen = simulate(
        ALWAYS, [Request(500.0 * i, m, 64, 1) for i, m in enumerate(order)], costs, cache_gib=CACHE_GIB
    )
    # 2.99 + 0.56 fit 4 GiB, 1.6 more do not: the 3B model, used longest ago, goes.
    assert (seen.hit_bytes > 0).tolist() == [False, False, False, True, False]


def test_a_cooperative_cache_keeps_a_prefix_of_a_model_that_is_too_large_for_it(costs):
    seen = simulate(FLEXSERVE, [Request(t, LARGE, 64, 1) for t in (0.0, 900.0)], costs, cache_gib=CACHE_GIB)
    parts = Catalogue(FLEXSERVE, costs).parts(LARGE)
    held = int(np.searchsorted(np.cumsum(parts), to_bytes(CACHE_GIB), side="right"))
    assert seen.hit_bytes[1] == sum(parts[:held])
    assert seen.ttft_s[1] == pytest.approx(prefill(FLEXSERVE, LARGE, 64, costs, cached_parts=held).ttft_s)
    assert seen.ttft_s[1] < seen.ttft_s[0]


def test_a_larger_cache_never_costs_hits(costs):
    hits = [
        simulate(FLEXSERVE, mixture(), costs, cache_gib=gib).hit_bytes.sum() for gib in (0.0, 1.0, 2.0, 4.0)
    ]
    assert hits == sorted(hits)
    assert hits[0] == 0 < hits[-1]


def test_a_shared_prompt_is_not_computed_again_while_its_kv_is_held(costs):
    def second(system, shared):
        requests = [Request(0.0, SMALL, 400, 2), Request(500.0, SMALL, 500, 2, shared_tokens=shared)]
        return ttfts(system, requests, costs)[1]

    whole = costs.layers(SMALL)
    assert second(FLEXSERVE, 400) == pytest.approx(
        prefill(FLEXSERVE, SMALL, 100, costs, cached_parts=whole).ttft_s, rel=1e-12
    )
    assert second(FLEXSERVE, 400) < second(FLEXSERVE, 0)
    assert second(ALWAYS, 400) == second(ALWAYS, 0)  # keeps weights, no KV


# --- pressure ---------------------------------------------------------------------------------------------------------


def pressed(system, costs, levels=(2.0, 15.0), **options):
    """An 8B model is served, applications ask for more at 300 s, the model is asked for again at 600 s."""
    background = Steps(tuple(300.0 * i for i in range(len(levels))), levels)
    requests = [Request(t, LARGE, 128, 2) for t in (0.0, 300.0 * len(levels))]
    return simulate(system, requests, costs, cache_gib=CACHE_GIB, background=background, **options)


def test_a_cooperative_cache_gives_back_what_applications_want(costs):
    held = {}
    seen = pressed(FLEXSERVE, costs, observe=lambda t, m, s: held.update({t: (m.missed_by_apps, m.held)}))
    before = [value for t, value in held.items() if t < 300][-1]
    after = [value for t, value in held.items() if t < 600][-1]
    assert before[1] > to_bytes(3.5)
    assert after[0] == 0 and after[1] <= to_bytes(1.0)
    assert len(seen.reclaim_s) == 1
    gib = seen.reclaim_bytes[0] / to_bytes(1.0)
    assert 3 - 0.5 <= gib <= 3.5
    assert seen.reclaim_s[0] == pytest.approx(costs.reclaim_s(FLEXSERVE, gib))


def test_asynchronous_reclaim_waits_less_and_scrubs_afterwards(costs):
    claimed = {}
    soon = pressed(FLEXSERVE, costs, observe=lambda t, m, s: claimed.update({t: m.claimed}))
    late = pressed(replace(FLEXSERVE, async_reclaim=False), costs)
    assert claimed[300.0] == soon.reclaim_bytes[0]
    assert [nbytes for t, nbytes in claimed.items() if t < 600][-1] == 0
    assert soon.reclaim_bytes[0] == late.reclaim_bytes[0]
    assert soon.reclaim_s[0] < late.reclaim_s[0] / 3


def test_reclaim_without_stages_writes_kv_back_and_waits_longer(costs):
    one = replace(FLEXSERVE, async_reclaim=False, two_stage=False)
    two = replace(one, two_stage=True)
    requests = [Request(0.0, SMALL, 8000, 2), Request(900.0, SMALL, 64, 1)]
    waits = {}
    for name, system in (("one", one), ("two", two)):
        background = Steps((0.0, 500.0), (2.0, 15.0))
        seen = simulate(system, requests, costs, cache_gib=CACHE_GIB, background=background)
        waits[name] = seen.reclaim_s[0] / seen.reclaim_bytes[0]
    assert waits["one"] > waits["two"]


def test_a_cache_that_does_not_cooperate_leaves_applications_short(costs):
    missed = {}
    for system in (ALWAYS, FLEXSERVE):
        background = Steps((0.0, 300.0), (2.0, 15.5))
        requests = [Request(0.0, MIDDLE, 128, 2), Request(600.0, MIDDLE, 128, 2)]
        short = {}
        simulate(
            system,
            requests,
            costs,
            cache_gib=CACHE_GIB,
            background=background,
            observe=lambda t, m, s, short=short: short.update({t: m.missed_by_apps}),
        )
        missed[system] = [nbytes for t, nbytes in short.items() if t < 600][-1]
    assert missed[ALWAYS] > to_bytes(2.0)
    assert missed[FLEXSERVE] == 0


def test_the_cache_is_rebuilt_when_applications_want_less_again(costs):
    squeezed, relieved = pressed(FLEXSERVE, costs), pressed(FLEXSERVE, costs, levels=(2.0, 15.0, 2.0))
    calm = pressed(FLEXSERVE, costs, levels=(2.0, 2.0))
    assert squeezed.hit_bytes[1] < relieved.hit_bytes[1] == calm.hit_bytes[1]


def test_memory_is_taken_from_the_cache_before_applications_are_swapped_out(costs):
    short = []
    requests = [Request(0.0, MIDDLE, 128, 2), Request(300.0, LARGE, 128, 2)]
    simulate(
        FLEXSERVE,
        requests,
        costs,
        cache_gib=CACHE_GIB,
        observe=lambda t, m, s: short.append(m.missed_by_apps),
    )
    assert max(short) == 0


def test_a_plain_function_of_time_is_looked_at_when_requests_begin_and_end(costs):
    asked = []

    def background(time):
        asked.append(time)
        return 8.0

    seen = simulate(
        FLEXSERVE, [Request(7.0, SMALL, 64, 3)], costs, cache_gib=CACHE_GIB, background=background
    )
    assert asked == [0.0, 7.0, seen.duration_s]


# --- workflows and prefetch ----------------------------------------------------------------------------------------


def agents(runs=4, gap=600.0, new_tokens=60):
    return workflow(
        (gap * i for i in range(runs)),
        "agent",
        [Step(SMALL, 64, new_tokens), Step("Qwen3-1.7B", 64, new_tokens), Step(MIDDLE, 64, 5)],
    )


def test_response_is_all_earlier_generations_and_the_last_prefill(costs):
    seen = simulate(STRAWMAN_OPT, merged(agents(), agents(gap=500.0)), costs, cache_gib=0.0)
    assert len(seen.sessions) == len(seen.response_s) > 1
    alone = simulate(STRAWMAN_OPT, agents(runs=1), costs, cache_gib=0.0)
    generation = alone.ttft_s + alone.decode_s
    assert alone.response_s == pytest.approx([generation[0] + generation[1] + alone.ttft_s[2]])
    assert alone.sessions == ("agent#0",)


def test_a_known_workflow_is_prefetched_and_an_unknown_one_is_not(costs):
    kept = replace(FLEXSERVE, prefetch=False)
    options = {"cache_gib": 3.0, "background": lambda t: 4.0}
    with_it = simulate(FLEXSERVE, agents(), costs, **options)
    without = simulate(kept, agents(), costs, **options)
    assert with_it.ttft_s[:3] == pytest.approx(without.ttft_s[:3])
    assert with_it.hit_bytes[3:].sum() > without.hit_bytes[3:].sum()
    assert with_it.response_s[-1] < without.response_s[-1]


def prefetched_too_fast(costs) -> bool:
    """Whether a part ever arrives beside a decode sooner than flash and cipher could have brought it."""
    arrived, last = [], {}

    def look(time, memory, serving):
        others = sum(memory.weight_bytes(model) for model in memory.weights if model != serving)
        if last and serving and last["serving"] == serving and others > last["others"]:
            arrived.append((others - last["others"], time - last["time"]))
        last.update(time=time, serving=serving, others=others)

    simulate(FLEXSERVE, agents(runs=3), costs, cache_gib=1.0, background=lambda t: 2.0, observe=look)
    fastest = to_bytes(1.0) / max(costs.load_s(1.0), costs.decrypt_s(1.0))
    assert arrived
    return any(nbytes > seconds * fastest for nbytes, seconds in arrived)


def test_prefetch_is_no_faster_than_flash_and_cipher(costs, monkeypatch):
    assert not prefetched_too_fast(costs)
    monkeypatch.setattr(Catalogue, "restore_s", lambda self, nbytes: 1e-3)
    assert prefetched_too_fast(costs)


def test_decryption_beside_it_slows_decoding(costs):
    options = {"cache_gib": 3.0, "background": lambda t: 4.0}
    with_it = simulate(FLEXSERVE, agents(), costs, **options)
    inline = simulate(replace(FLEXSERVE, crypto="inline"), agents(), costs, **options)
    assert with_it.decode_s.sum() > inline.decode_s.sum()


# --- stage 2, accounts, repetition --------------------------------------------------------------------------------


def test_stage_2_tables_are_off_on_demand_while_nothing_is_protected(costs):
    requests = [Request(1000.0 * i, MIDDLE, 128, 8) for i in range(3)]
    demand, plain = SYSTEMS["FlexServe, on demand"], cold(FLEXSERVE)
    seen, kept_on = (simulate(s, requests, costs, cache_gib=0.0) for s in (demand, plain))
    serving = (seen.ttft_s + seen.decode_s).sum()
    assert serving < seen.stage2_on_s < serving + 3
    assert kept_on.stage2_residency == 1
    assert seen.ttft_s - kept_on.ttft_s == pytest.approx(costs.protect_s(demand))
    assert simulate(STRAWMAN_OPT, requests, costs, cache_gib=0.0).stage2_on_s == 0


def test_mean_memory_sums_to_the_device(costs):
    seen = simulate(FLEXSERVE, mixture(), costs, cache_gib=CACHE_GIB, background=WAVES)
    assert sum(seen.mean_bytes.values()) == pytest.approx(to_bytes(16.0))
    assert to_bytes(7.5) < seen.peak_held_bytes < to_bytes(16.0)


def everything(seen: Outcome) -> bytes:
    """All of an outcome as bytes."""
    parts = [getattr(seen, field.name) for field in fields(seen)]
    return b"|".join(p.tobytes() if isinstance(p, np.ndarray) else repr(p).encode() for p in parts)


@pytest.mark.parametrize("name", ["FlexServe", "FlexServe, random layers", "Strawman-OPT, time-out"])
def test_the_same_seed_gives_the_same_bytes(name, costs):
    def run(seed):
        return everything(
            simulate(
                SYSTEMS[name],
                mixture(seed=seed),
                Costs(calibrated.read()),
                cache_gib=CACHE_GIB,
                background=WAVES,
                seed=seed,
            )
        )

    assert run(3) == run(3) != run(4)


def grows_by(system, costs) -> int:
    """Bytes by which the peak, less the result, is higher for 450 requests than for 150."""

    def endless():
        """Lengths that come again, so that what may be remembered is soon known."""
        for i, time in enumerate(poisson(20, 10_000, 1)):
            yield Request(time, (SMALL, MIDDLE, LARGE)[i % 3], 64, 8, f"s#{i // 2}", bool(i % 2))

    def beyond_the_result(count):
        tracemalloc.start()
        seen = simulate(system, islice(endless(), count), costs, cache_gib=CACHE_GIB)
        result = sum(column.nbytes for column in vars(seen).values() if isinstance(column, np.ndarray))
        result += sum(sys.getsizeof(name) + 8 for name in seen.sessions)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - result

    return beyond_the_result(450) - beyond_the_result(150)


class KeepsRequests(Recorder):
    """Mutant: a record of every request as an object."""

    def request(self, request, *rest):
        super().request(request, *rest)
        self._apps.append({"request": request, "rest": rest})


def test_nothing_but_the_result_grows_with_the_number_of_requests(costs, monkeypatch):
    assert grows_by(FLEXSERVE, costs) < 80_000
    monkeypatch.setattr(server, "Recorder", KeepsRequests)
    assert grows_by(NW_BASE, costs) > 80_000
