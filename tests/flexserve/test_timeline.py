"""One prefill in virtual time: the fast recurrence is the planner's plan executed, and invariant 13 holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.policy.plan import CHUNK_BYTES, Part, plan
from remeasure.impls.flexserve.sim import timeline as module
from remeasure.impls.flexserve.sim.calibration import read
from remeasure.impls.flexserve.sim.costs import Costs, Device
from remeasure.impls.flexserve.sim.facts import ANCHOR, MODELS
from remeasure.impls.flexserve.sim.rows import SYSTEMS
from remeasure.impls.flexserve.sim.timeline import Stages, Timeline, execute, pipelined, prefill
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN_OPT, TZLLM_LIKE, cold

CALIBRATION = read()
COSTS = Costs(CALIBRATION)
FLEX = cold(FLEXSERVE)
ALL = [*SYSTEMS.values(), TZLLM_LIKE]
MODEL = st.sampled_from(sorted(MODELS))
SEEDS = st.integers(0, 2**32 - 1)


def random_case(seed: int) -> tuple[System, Stages, int, list[int], int, float]:
    """A pipelining system, seconds of its stages, layers, missing ones, bytes of a layer, contention."""
    rng = np.random.default_rng(seed)
    system = System(
        alloc=str(rng.choice(["mmap", "cma", "cma overlapped", "flex"])),  # type: ignore[arg-type]
        crypto=str(rng.choice(["none", "software", "inline"])),  # type: ignore[arg-type]
        granularity=str(rng.choice(["layer", "4 MiB"])),  # type: ignore[arg-type]
    )
    layers = int(rng.integers(1, 12))
    missing = sorted(rng.choice(layers, size=rng.integers(1, layers + 1), replace=False).tolist())
    seconds = rng.exponential(1.0, 4) * rng.choice([0.1, 1.0, 3.0], 4)
    decrypt = float(seconds[2]) if system.crypto == "software" else 0.0
    alone = Stages(False, 0.0, float(seconds[0]), float(seconds[1]), decrypt, float(seconds[3]))
    return system, alone, layers, missing, int(rng.integers(1, 40 << 20)), float(rng.uniform(0, 0.9))


def recurrence_differs(seed: int) -> bool:
    system, alone, layers, missing, nbytes, contention = random_case(seed)
    parts = [Part(nbytes, cached=layer not in missing) for layer in range(layers)]
    chunk = CHUNK_BYTES[system.granularity]
    pieces = max(1.0, nbytes / chunk) if chunk else 1.0
    exact = execute(plan(parts, system), system, alone, contention)
    return bool(abs(pipelined(system, alone, layers, missing, pieces, contention) - exact) > 1e-9 * exact)


@given(seed=SEEDS)
def test_the_recurrence_is_the_executed_plan(seed: int) -> None:
    assert not recurrence_differs(seed)


def forgets_the_rest(count: int, steps: Any, start: float) -> list[float]:
    return module_fetch(count, steps[:1], start)


def forgets_decryption(count: int, steps: Any, start: float) -> list[float]:
    return module_fetch(count, [(n, a, r, 0.0) for n, a, r, _ in steps], start)


def allocates_beside_reading(count: int, steps: Any, start: float) -> list[float]:
    return module_fetch(count, [(n, 0.0, max(a, r), d) for n, a, r, d in steps], start)


module_fetch = module._fetch


@pytest.mark.parametrize("mutant", [forgets_the_rest, forgets_decryption, allocates_beside_reading])
def test_the_check_of_the_recurrence_catches(mutant: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fetch", mutant)
    assert any(recurrence_differs(seed) for seed in range(60))


def test_the_check_of_the_recurrence_catches_missing_contention(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_advance", lambda start, work, slow, contention: start + work)
    assert any(recurrence_differs(seed) for seed in range(60))


@pytest.mark.parametrize("system", [system for system in ALL if not system.overlap])
def test_without_overlap_the_plan_takes_the_sum_of_its_stages(system: System) -> None:
    alone = Stages(False, 0.0, 1.0, 2.0, 0.5, 4.0)
    ops = plan([Part(100)] * 5, system)
    assert execute(ops, system, alone, 0.4) == pytest.approx(alone.in_turn)
    made = prefill(system, ANCHOR, 128, COSTS)
    assert made.ttft_s == pytest.approx(sum(made.busy.values()))
    assert made.overlap_efficiency == pytest.approx(1)


def test_executing_refuses_a_plan_that_waits_for_computing() -> None:
    ops = plan([Part(100)] * 2, FLEX)
    last = len(ops) - 1
    backwards = [*ops, replace(ops[1], after=(last,))]
    with pytest.raises(ValueError, match="computing"):
        execute(backwards, FLEX, Stages(False, 0.0, 1.0, 1.0, 1.0, 1.0), 0.4)


def test_computing_is_slowed_only_while_weights_are_decrypted() -> None:
    # One layer in memory, one to fetch: the first computes beside the second's decryption, and for longer than it.
    alone = Stages(True, 0.0, 0.0, 1.0, 2.0, 20.0)
    parts = [Part(100, cached=True), Part(100)]
    assert execute(plan(parts, FLEX), FLEX, alone, 0.5) == pytest.approx(20 + 0.5 * 2)


def request(seed: int) -> tuple[str, int, float, tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    model = sorted(MODELS)[rng.integers(len(MODELS))]
    layers = MODELS[model].layers
    kept = tuple(rng.choice(layers, size=rng.integers(0, layers + 1), replace=False).tolist())
    if rng.random() < 0.5:
        kept = tuple(range(len(kept)))
    return model, int(rng.integers(1, 2000)), float(rng.uniform(0, 10)), kept


Prefill = Callable[..., Timeline]


def broken_bounds(made_by: Prefill, seed: int) -> list[System]:
    """Systems whose prefill is faster than its lower bound."""
    rng = np.random.default_rng(seed)
    model, tokens, background, kept = request(seed)
    device = Device(*(float(2 ** rng.uniform(-3, 4)) for _ in range(3)))
    costs = Costs(CALIBRATION, device)
    systems = [*ALL, replace(FLEX, granularity="4 MiB"), replace(TZLLM_LIKE, alloc_threads=1)]
    made = [made_by(system, model, tokens, costs, background, kept) for system in systems]
    return [s for s, t in zip(systems, made, strict=True) if t.ttft_s < t.lower_bound_s * (1 - 1e-12)]


@given(seed=SEEDS)
def test_no_prefill_is_faster_than_its_busiest_resource(seed: int) -> None:
    assert broken_bounds(prefill, seed) == []


def test_the_check_of_the_bound_catches_free_flash_and_free_computing() -> None:
    def free(stage: str) -> Prefill:
        def mutant(*given: Any) -> Timeline:
            honest = prefill(*given)
            return replace(honest, ttft_s=honest.ttft_s - honest.busy[stage])

        return mutant

    for stage in ("flash", "compute", "alloc"):
        assert any(broken_bounds(free(stage), seed) for seed in range(40)), stage


UNPROTECTED = {"alloc": "mmap", "crypto": "none", "protected": False, "authenticated": False}


def differs_from_base(system: System, seed: int) -> bool:
    asked = request(seed)
    model, tokens, background, kept = asked
    return prefill(system, model, tokens, COSTS, background, kept) != prefill(
        NW_BASE, model, tokens, COSTS, background, kept
    )


@given(seed=SEEDS)
def test_flexserve_with_protection_off_is_the_unprotected_system(seed: int) -> None:
    assert not differs_from_base(replace(FLEX, **UNPROTECTED), seed)


@pytest.mark.parametrize("left_on", sorted(set(UNPROTECTED) - {"authenticated"}))
def test_the_check_of_protection_off_catches_what_is_left_on(left_on: str) -> None:
    off = {name: value for name, value in UNPROTECTED.items() if name != left_on}
    assert any(differs_from_base(replace(FLEX, **off), seed) for seed in range(20))


class FreeAllocation(Costs):
    """The same device where memory costs nothing to get."""

    def alloc_s(self, system: System, gib: float, background_gb: float = 0.0) -> float:
        return 0.0


FREE = FreeAllocation(CALIBRATION)


def not_only_allocation(opt: System, seed: int) -> bool:
    """Whether two systems differ by more than their allocation times at zero background."""
    model, tokens, _, kept = request(seed)
    slow, fast = (prefill(system, model, tokens, COSTS, 0.0, kept) for system in (opt, FLEX))
    same = [prefill(system, model, tokens, FREE, 0.0, kept) for system in (opt, FLEX)]
    gap = slow.ttft_s - fast.ttft_s
    most = slow.busy["alloc"] + 1e-9
    least = -fast.busy["alloc"] - 1e-9
    return same[0] != same[1] or not least <= gap <= most


@given(seed=SEEDS)
def test_at_zero_background_opt_and_flexserve_differ_only_by_their_allocation(seed: int) -> None:
    assert not not_only_allocation(STRAWMAN_OPT, seed)


@pytest.mark.parametrize("change", [{"crypto": "none"}, {"overlap": False}, {"compute": "cpu"}], ids=str)
def test_the_check_of_equal_systems_catches_another_difference(change: dict[str, Any]) -> None:
    assert any(not_only_allocation(replace(STRAWMAN_OPT, **change), seed) for seed in range(20))


def test_at_zero_background_the_region_costs_what_figure_1_says_more() -> None:
    # Cold, and so short a prompt that reading decides: all of both allocations shows.
    slow, fast = (prefill(s, ANCHOR, 64, COSTS, 0.0) for s in (STRAWMAN_OPT, FLEX))
    assert slow.ttft_s - fast.ttft_s == pytest.approx(slow.busy["alloc"] - fast.busy["alloc"])


@given(model=MODEL, tokens=st.integers(1, 1500), kept=st.integers(0, 40), system=st.sampled_from(ALL))
def test_a_longer_prefix_is_never_slower(model: str, tokens: int, kept: int, system: System) -> None:
    fewer, more = (prefill(system, model, tokens, COSTS, cached_parts=count) for count in (kept, kept + 1))
    assert more.ttft_s <= fewer.ttft_s + 1e-9


@given(model=MODEL, tokens=st.integers(1, 1500), background=st.floats(0, 10), threads=st.sampled_from([1, 4]))
def test_claiming_a_region_beside_reading_is_never_slower_than_before_it(
    model: str, tokens: int, background: float, threads: Any
) -> None:
    beside = prefill(replace(TZLLM_LIKE, alloc_threads=threads), model, tokens, COSTS, background)
    assert beside.ttft_s <= prefill(STRAWMAN_OPT, model, tokens, COSTS, background).ttft_s + 1e-9


@given(model=MODEL, kept=st.integers(0, 40), system=st.sampled_from(ALL))
def test_a_prefix_may_be_named_by_count_or_by_indices(model: str, kept: int, system: System) -> None:
    by_count = prefill(system, model, 128, COSTS, cached_parts=kept)
    for indices in (set(range(kept)), tuple(range(kept)), frozenset(range(kept))):
        assert prefill(system, model, 128, COSTS, cached_parts=indices) == by_count


def test_with_everything_cached_only_setup_and_computing_are_left() -> None:
    for system in ALL:
        made = prefill(system, ANCHOR, 128, COSTS, cached_parts=COSTS.layers(ANCHOR))
        assert made.ttft_s == pytest.approx(made.busy["setup"] + made.busy["compute"])
        assert made.bubble_s == made.busy["flash"] == made.busy["alloc"] == made.busy["decrypt"] == 0


def test_keeping_the_first_layers_beats_keeping_the_last() -> None:
    layers = COSTS.layers(ANCHOR)
    first, last = set(range(layers // 2)), set(range(layers // 2, layers))
    assert (
        prefill(FLEX, ANCHOR, 128, COSTS, cached_parts=first).ttft_s
        < prefill(FLEX, ANCHOR, 128, COSTS, cached_parts=last).ttft_s
    )


@given(model=MODEL, tokens=st.integers(1, 1500))
def test_an_inline_cipher_is_never_slower_and_needs_no_cores(model: str, tokens: int) -> None:
    software, inline = (
        prefill(replace(FLEX, crypto=crypto), model, tokens, COSTS) for crypto in ("software", "inline")
    )
    assert inline.ttft_s < software.ttft_s and inline.busy["decrypt"] == 0


def test_authentication_has_no_cost_of_its_own_on_the_device() -> None:
    assert prefill(replace(FLEX, authenticated=False), ANCHOR, 128, COSTS) == prefill(
        FLEX, ANCHOR, 128, COSTS
    )


@given(model=MODEL, tokens=st.integers(1, 1500))
def test_finer_pieces_are_never_slower(model: str, tokens: int) -> None:
    times = [
        prefill(replace(FLEX, granularity=size), model, tokens, COSTS).ttft_s
        for size in ("64 KiB", "4 MiB", "layer")
    ]
    assert times == sorted(times)


def test_bubble_and_computing_fill_what_setup_leaves() -> None:
    for system in ALL:
        made = prefill(system, "Llama3.2-3B", 128, COSTS)
        assert made.ttft_s == pytest.approx(made.busy["setup"] + made.busy["compute"] + made.bubble_s)
        assert made.bubble_s >= 0
