"""Times of steps: never faster than the GPU can be, additive over blocks, and the same asked one by one or together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from blockllm.cost_steps import whole
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.cost.costs import Costs
from remeasure.impls.blockllm.sim.cost.gpu import A100
from remeasure.impls.blockllm.sim.cost.model import BATCH, HALVES, ROWS, SPACING, Model
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B, SHAPES, Shape
from remeasure.impls.blockllm.sim.cost.step import Step
from remeasure.impls.blockllm.sim.cost.tables import STACKS, Points, Stack, read
from remeasure.impls.blockllm.sim.cost.work import work

COSTS = {stack: Costs(stack) for stack in STACKS}
models = st.sampled_from([costs.of(shape) for costs in COSTS.values() for shape in SHAPES])
prompts = st.lists(st.tuples(st.integers(1, 2048), st.one_of(st.just(0), st.integers(0, 2048))), max_size=3)
steps = st.builds(whole, st.integers(0, 256), st.integers(1, 4096), prompts)
cuts = st.lists(st.integers(0, 32), max_size=5)
CASES = [whole(1, 1), whole(1, 4000), whole(32, 500), whole(256, 4096), whole(64, 40)]


def fastest_ms(model: Model, step: Step) -> float:
    least = work(model.shape, step)
    return 1000 * max(least.flops / A100.peak_flops, least.nbytes / A100.peak_bytes_per_s)


@given(models, steps)
def test_no_step_is_faster_than_peak_arithmetic_and_peak_memory_allow(model: Model, step: Step) -> None:
    assert model.step_ms(step) >= fastest_ms(model, step)


def test_that_check_finds_times_of_a_faster_gpu() -> None:
    for stack in STACKS:
        half = Costs(stack, band=0.5).of(LLAMA_7B)
        assert any(half.step_ms(step) < fastest_ms(half, step) for step in CASES)


def in_pieces(model: Model, ends: list[int], step: Step) -> float:
    """A whole model as blocks that end after these layers; halves of a layer in turn where an end stands twice."""
    edges = [0, *sorted(ends), 32]
    total = 0.0
    for at, (low, high) in enumerate(pairwise(edges)):
        bare = replace(step, attn_layers=0, ffn_layers=0, embed=at == 0, head=at == len(edges) - 2)
        if high > low:
            total += model.step_ms(replace(bare, attn_layers=high - low, head=False))
            total += model.step_ms(replace(bare, ffn_layers=high - low, embed=False))
        else:
            total += model.step_ms(bare)
    return total


@given(models, cuts, steps)
def test_a_model_cut_into_blocks_takes_as_long_as_whole(model: Model, ends: list[int], step: Step) -> None:
    assert in_pieces(model, ends, step) == pytest.approx(model.step_ms(step))


def test_that_check_finds_a_cost_of_being_cut() -> None:
    class Launching(Model):
        def step_ms(self, step: Step) -> float:
            return 0.05 + super().step_ms(step)

    model = Launching(LLAMA_7B, read("vllm"), 1.0)
    step = whole(8, 500)
    assert in_pieces(model, [10, 20], step) != pytest.approx(model.step_ms(step))


@given(st.sampled_from(STACKS), st.sampled_from([0.8, 1.2]), steps)
def test_the_band_multiplies_every_time_of_computing(stack: Stack, band: float, step: Step) -> None:
    plain, banded = (costs.of(LLAMA_7B).step_ms(step) for costs in (COSTS[stack], BANDED[stack, band]))
    assert banded == pytest.approx(band * plain)


BANDED = {(stack, band): Costs(stack, band) for stack in STACKS for band in (0.8, 1.2)}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_arrays_by_rows_are_whole_and_cannot_be_changed(stack: Stack, shape: Shape) -> None:
    by_rows = COSTS[stack].of(shape).by_rows
    for ms in (by_rows[part] for part in ("attn", "ffn", "embed", "head")):
        assert ms.dtype == np.float64 and ms.shape == (ROWS + 1,)
        assert ms[0] == 0 and (ms[1:] > 0).all()
        with pytest.raises(ValueError, match="read-only"):
            ms[1] = 0


def test_halves_are_the_sums_of_their_operators() -> None:
    model = COSTS["sglang"].of(LLAMA_13B)
    for half, parts in HALVES.items():
        np.testing.assert_allclose(model.by_rows[half], sum(model.by_rows[part] for part in parts))


def check_points(model: Model, points: Points) -> None:
    for (batch, context), ms in points.items():
        assert model.decode_attention_ms(batch, batch * context) == pytest.approx(ms)


@pytest.mark.parametrize("stack", STACKS)
def test_decoding_takes_the_tables_times_at_its_points(stack: Stack) -> None:
    for shape in SHAPES:
        check_points(COSTS[stack].of(shape), read(stack)[shape.name, "decode"])


def test_that_check_finds_contexts_a_column_off() -> None:
    class Off(Model):
        def decode_attention_ms(self, batch: int, total_context: float) -> float:
            return super().decode_attention_ms(batch, total_context + SPACING * batch)

    points = read("trtllm")
    with pytest.raises(AssertionError):
        check_points(Off(LLAMA_7B, points, 1.0), points["7b", "decode"])


@given(models, st.integers(1, 2 * BATCH), st.integers(1, 8192))
def test_decoding_goes_on_beyond_the_table(model: Model, batch: int, context: int) -> None:
    ms = model.decode_attention_ms(batch, batch * context)
    assert ms > 0
    if batch >= BATCH:
        assert model.decode_attention_ms(2 * batch, 2 * batch * context) == pytest.approx(2 * ms)
    if context >= 4096:
        assert ms >= model.decode_attention_ms(batch, batch * 4096) * (1 - 1e-9)


def read_ms(model: Model, tokens: int) -> float:
    return 1000 * tokens * model.shape.kv_bytes_per_token_layer / A100.peak_bytes_per_s


def check_reading(prefill: Callable[[int, int], float], model: Model) -> None:
    for new in (1, 4, 64, 1000):
        for past in (0, 500, 3000):
            assert prefill(new, past) >= read_ms(model, new + past)


@given(models)
def test_a_continued_prompt_reads_its_whole_cache_at_least(model: Model) -> None:
    check_reading(model.prefill_attention_ms, model)


def test_that_check_finds_the_estimators_own_rule() -> None:
    model = COSTS["vllm"].of(LLAMA_7B)

    def by_share_of_work(new: int, past: int) -> float:
        return model.prefill_attention_ms(new + past, 0) * (1 - (past / (new + past)) ** 2)

    with pytest.raises(AssertionError):
        check_reading(by_share_of_work, model)


@given(models, st.integers(1, 2048), st.integers(1, 2048))
def test_a_prompt_in_two_pieces_is_never_quicker(model: Model, first: int, second: int) -> None:
    pieces = model.prefill_attention_ms(first, 0) + model.prefill_attention_ms(second, first)
    assert pieces >= 0.99 * model.prefill_attention_ms(first + second, 0)


def test_costs_answer_as_the_model_made_from_their_table_does() -> None:
    ours, model = COSTS["sglang"].of(LLAMA_13B), Model(LLAMA_13B, read("sglang"), 1.0)
    assert ours.decode_attention_ms(3, 900) == model.decode_attention_ms(3, 900)
    assert ours.prefill_attention_ms(5, 7) == model.prefill_attention_ms(5, 7)
    step = replace(whole(3, 300, [(5, 7)], rows_each=2), attn_layers=3, ffn_layers=4)
    assert ours.step_ms(step) == model.step_ms(step)


def test_lists_by_rows_are_the_arrays() -> None:
    model = COSTS["sglang"].of(LLAMA_13B)
    assert model.attn_ms == model.by_rows["attn"].tolist()
    assert model.ffn_ms == model.by_rows["ffn"].tolist()
    assert model.embed_ms == model.by_rows["embed"].tolist()
    assert model.head_ms == model.by_rows["head"].tolist()


def test_verified_rows_share_one_read_of_the_cache() -> None:
    model = COSTS["trtllm"].of(LLAMA_7B)
    one, five = (model.step_ms(whole(8, 1000, rows_each=rows)) for rows in (1, 5))
    matrices = 32 * (model.attn_ms[40] - model.attn_ms[8] + model.ffn_ms[40] - model.ffn_ms[8])
    ends = model.embed_ms[40] - model.embed_ms[8] + model.head_ms[40] - model.head_ms[8]
    assert five - one == pytest.approx(matrices + ends)


def test_nothing_to_do_takes_no_time() -> None:
    model = COSTS["vllm"].of(LLAMA_7B)
    assert model.step_ms(whole()) == 0
    assert model.decode_attention_ms(0, 0) == model.prefill_attention_ms(0, 100) == 0


@pytest.mark.parametrize("new_past", [(1, ROWS), (ROWS + 1, 0), (5, -1), (-1, 5)])
def test_a_sequence_beyond_the_table_is_an_error(new_past: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"a sequence has 0 to {ROWS}"):
        COSTS["vllm"].of(LLAMA_7B).prefill_attention_ms(*new_past)


def test_a_step_beyond_the_table_is_an_error() -> None:
    step = Step(1, 1, embed=False, head=False, decode_batch=1, decode_context=1, prefills=((4096, 0),) * 2)
    with pytest.raises(ValueError, match="a step has at most 8192, split the batch"):
        COSTS["vllm"].of(LLAMA_7B).step_ms(step)


@pytest.mark.parametrize("band", [0.0, -1.0, float("nan")])
def test_a_band_that_is_no_factor_is_refused(band: float) -> None:
    with pytest.raises(UserError, match="the cost band must be above 0"):
        Costs("vllm", band)


def test_a_model_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="no model 7b of that size; choose one of 7b, 13b"):
        COSTS["vllm"].of(replace(LLAMA_7B, layers=31))
