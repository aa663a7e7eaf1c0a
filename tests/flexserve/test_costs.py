"""Costs of the modelled device against what they are calibrated with, and how they behave in between."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.sim.calibration import Calibration, read
from remeasure.impls.flexserve.sim.costs import GIB, Costs, Device
from remeasure.impls.flexserve.sim.facts import ANCHOR, CMA_THREADS, MODELS
from remeasure.impls.flexserve.sim.rows import SYSTEMS
from remeasure.impls.flexserve.systems import TZLLM_LIKE

CALIBRATION = read()
COSTS = Costs(CALIBRATION)
BASE, FLEX, OPT, STRAWMAN = SYSTEMS.values()
MIXES = st.sampled_from([0.0, 0.3, 0.5, 1.0])
GIBS, BACKGROUNDS = st.floats(0.05, 9), st.floats(0, 10)
TOKENS = st.integers(1, 4096)
MODEL = st.sampled_from(sorted(MODELS))


def lines_missed(costs: Costs) -> list[str]:
    """Points of Figure 1 that the allocators do not give back."""
    missed = []
    for allocator, system in (("mmap", BASE), ("cma", OPT)):
        for part in "ab":
            entry = CALIBRATION.entry(f"fig1{part}.{allocator}")
            for x, y in zip(entry.x, entry.y, strict=True):
                size = entry.size_GB if entry.size_GB is not None else x
                background = entry.background_GB if entry.background_GB is not None else x
                if abs(costs.alloc_s(system, size, background) - y) > entry.tolerance.abs:
                    missed.append(f"{entry.id} at {x}")
    return missed


@given(mix=MIXES)
def test_allocation_passes_through_figure_1_whatever_is_assumed_between_its_lines(mix: float) -> None:
    assert lines_missed(Costs(CALIBRATION.assuming(cma_packed=mix))) == []


def test_the_check_of_figure_1_catches_another_rule() -> None:
    class Linear(Costs):
        def alloc_s(self, system: System, gib: float, background_gb: float = 8.0) -> float:
            return super().alloc_s(system, 8, 8) * gib / 8

    assert lines_missed(Linear(CALIBRATION))


@given(gib=GIBS, background=BACKGROUNDS)
def test_recallable_pages_cost_a_fixed_factor_and_less_than_a_region(gib: float, background: float) -> None:
    plain = COSTS.alloc_s(BASE, gib, background)
    recallable = COSTS.alloc_s(FLEX, gib, background)
    assert recallable / plain == pytest.approx(COSTS.pages.protection)
    assert recallable < COSTS.alloc_s(OPT, gib, background)


@given(gib=GIBS, low=BACKGROUNDS, high=BACKGROUNDS, mix=MIXES)
def test_more_background_never_makes_a_region_cheaper(
    gib: float, low: float, high: float, mix: float
) -> None:
    costs = Costs(CALIBRATION.assuming(cma_packed=mix))
    low, high = sorted((low, high))
    assert costs.alloc_s(OPT, gib, low) <= costs.alloc_s(OPT, gib, high) + 1e-9


@given(gib=st.floats(0.05, 8), background=st.floats(0, 8))
def test_between_the_lines_packed_background_costs_at_least_as_much_as_spread(
    gib: float, background: float
) -> None:
    spread, packed = (Costs(CALIBRATION.assuming(cma_packed=mix)) for mix in (0.0, 1.0))
    assert spread.alloc_s(OPT, gib, background) <= packed.alloc_s(OPT, gib, background) + 1e-9


def test_nothing_to_allocate_takes_no_time() -> None:
    assert all(COSTS.alloc_s(system, 0.0, 8.0) == 0 for system in (*SYSTEMS.values(), TZLLM_LIKE))


def test_four_threads_move_pages_as_much_faster_as_tz_llm_measured() -> None:
    one, four = (replace(TZLLM_LIKE, alloc_threads=threads) for threads in (1, 4))
    ratio = COSTS.alloc_s(one, 5, 6) / COSTS.alloc_s(four, 5, 6)
    assert ratio == pytest.approx(CMA_THREADS[4].value / CMA_THREADS[1].value)


def test_both_papers_agree_on_one_thread() -> None:
    one = replace(TZLLM_LIKE, alloc_threads=1)
    rate = 8 * GIB / COSTS.alloc_s(one, 8, 6) / 1e9
    assert rate == pytest.approx(CMA_THREADS[1].value, rel=0.05)


def test_decryption_beside_computing_costs_what_the_text_says() -> None:
    alone = COSTS.prefill_s(ANCHOR, 128)
    beside = alone + COSTS.contention * COSTS.decrypt_s(COSTS.weights_gib(ANCHOR))
    assert beside / alone == pytest.approx(CALIBRATION.value("text.decrypt_contention"))


def test_contention_does_not_depend_on_the_device_of_a_sweep() -> None:
    assert Costs(CALIBRATION, Device(decrypt=4, npu=2)).contention == COSTS.contention


@given(model=MODEL, tokens=st.tuples(TOKENS, TOKENS))
def test_longer_prompts_never_compute_faster(model: str, tokens: tuple[int, int]) -> None:
    short, long = sorted(tokens)
    for compute in ("npu", "cpu"):
        assert COSTS.prefill_s(model, short, compute) <= COSTS.prefill_s(model, long, compute)


def test_short_prompts_take_the_npu_as_long_as_the_floor() -> None:
    for model in MODELS:
        assert COSTS.prefill_s(model, 1) == COSTS.prefill_s(model, 64) < COSTS.prefill_s(model, 128)


def test_prefill_of_the_anchor_is_exact_on_both_units() -> None:
    npu = CALIBRATION.entry("table1.prefill_llama31_8b_128")
    cpu = CALIBRATION.entry("fig2.strawman.compute")
    assert COSTS.prefill_s(ANCHOR, npu.prompt_tokens) == pytest.approx(npu.value / 1e3)
    assert COSTS.prefill_s(ANCHOR, cpu.prompt_tokens, "cpu") == pytest.approx(cpu.value)


def test_only_prompts_outside_the_measured_lengths_are_flagged() -> None:
    assert [COSTS.beyond(n) for n in (63, 64, 300, 512, 513)] == [True, False, False, False, True]


def test_beyond_the_measured_lengths_the_last_segment_goes_on() -> None:
    for compute in ("npu", "cpu"):
        a, b, c = (COSTS.prefill_s("Qwen3-1.7B", n, compute) for n in (384, 512, 640))
        assert c - b == pytest.approx(b - a)


@pytest.mark.parametrize("compute", ["npu", "cpu"])
def test_a_model_without_bars_lies_between_the_law_and_its_nearest_neighbour(compute: str) -> None:
    law, mixed, by_weight = (
        Costs(CALIBRATION.assuming(unseen_by_weight=share)).prefill_s("Qwen3-0.6B", 256, compute)
        for share in (0.0, 0.5, 1.0)
    )
    ratio = COSTS.weights_gib("Qwen3-0.6B") / COSTS.weights_gib("Qwen3-1.7B")
    assert by_weight == pytest.approx(ratio * COSTS.prefill_s("Qwen3-1.7B", 256, compute))
    assert mixed == pytest.approx((law * by_weight) ** 0.5)


def test_prefill_grows_with_the_model() -> None:
    order = ("Qwen3-0.6B", "Qwen3-1.7B", "Llama3.2-3B", ANCHOR)
    for compute in ("npu", "cpu"):
        times = [COSTS.prefill_s(model, 256, compute) for model in order]
        assert times == sorted(times)


def test_faster_parts_of_the_device_take_proportionally_less() -> None:
    fast = Costs(CALIBRATION, Device(flash=2, npu=3, decrypt=4))
    assert fast.load_s(1) == pytest.approx(COSTS.load_s(1) / 2)
    assert fast.prefill_s(ANCHOR, 256) == pytest.approx(COSTS.prefill_s(ANCHOR, 256) / 3)
    assert fast.prefill_s(ANCHOR, 256, "cpu") == COSTS.prefill_s(ANCHOR, 256, "cpu")
    assert fast.decrypt_s(1) == pytest.approx(COSTS.decrypt_s(1) / 4)


def test_protection_is_charged_only_where_it_is_switched_on_for_the_request() -> None:
    on_demand = replace(FLEX, on_demand=True)
    assert COSTS.protect_s(FLEX) == 0
    both = CALIBRATION.value("table1.s2pt_boot") + CALIBRATION.value("table1.hash_check")
    extra = COSTS.setup_s(on_demand, ANCHOR, 1.0) - COSTS.setup_s(FLEX, ANCHOR, 1.0)
    assert extra == pytest.approx(both / 1e3)


def test_mappings_of_weights_that_stay_are_not_paid_again() -> None:
    warm, cold = (COSTS.setup_s(FLEX, ANCHOR, gib) for gib in (0.0, 8.0))
    assert cold - warm == pytest.approx(CALIBRATION.value("table1.npu_smmu_setup_8GiB.flexserve") / 1e3)


def test_decoding_is_figure_6_of_the_matching_system() -> None:
    for name, system in SYSTEMS.items():
        rate = CALIBRATION.value(f"fig6.Qwen3-1.7B.{name}")
        assert COSTS.decode_s("Qwen3-1.7B", system) == pytest.approx(1 / rate)
    assert COSTS.decode_s(ANCHOR, TZLLM_LIKE) == COSTS.decode_s(ANCHOR, OPT)


def test_a_model_without_a_decoding_rate_follows_the_nearest_by_weight() -> None:
    ratio = COSTS.weights_gib("Qwen3-8B") / COSTS.weights_gib(ANCHOR)
    assert COSTS.decode_s("Qwen3-8B", FLEX) == pytest.approx(ratio * COSTS.decode_s(ANCHOR, FLEX))


@given(gib=st.floats(0.125, 12), share=st.floats(0, 1))
def test_asynchronous_reclaim_only_moves_work_behind_the_return(gib: float, share: float) -> None:
    sync = replace(FLEX, async_reclaim=False)
    kv = share * gib
    whole = COSTS.reclaim_s(sync, gib, kv)
    assert COSTS.reclaim_s(FLEX, gib, kv) < whole
    assert COSTS.reclaim_s(FLEX, gib, kv) + COSTS.scrub_s(FLEX, gib, kv) == pytest.approx(whole)
    assert COSTS.scrub_s(sync, gib, kv) == 0
    assert COSTS.reclaim_s(sync, gib, 0.0) <= whole


def test_kv_cache_has_the_size_of_its_heads() -> None:
    # 32 layers × 2 × 8 heads × 128 × 2 bytes = 128 KiB a token
    assert COSTS.kv_gib(ANCHOR, 8192) == 1.0
    for a, b in pairwise((0, 1, 100, 101)):
        assert COSTS.kv_gib("Qwen3-0.6B", a) < COSTS.kv_gib("Qwen3-0.6B", b)


def test_an_unknown_model_is_a_user_error_that_lists_the_known() -> None:
    for ask in (COSTS.layers, COSTS.weights_gib, lambda m: COSTS.prefill_s(m, 1)):
        with pytest.raises(UserError, match=r"Llama3\.1-8B"):
            ask("GPT-9")


def test_drawn_calibrations_give_usable_costs() -> None:
    import numpy as np

    def costs(seed: int) -> Costs:
        drawn: Calibration = CALIBRATION.drawn(np.random.default_rng(seed))
        return Costs(drawn)

    for seed in range(30):
        some = costs(seed)
        assert 0 < some.contention < 1
        assert all(some.prefill_s(m, n, c) > 0 for m in MODELS for n in (1, 64, 512) for c in ("npu", "cpu"))
