"""Times of steps: never faster than the GPU can be, additive over blocks, and the same asked one by one or together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.cost.costs import Costs
from remeasure.impls.blockllm.sim.cost.gpu import A100
from remeasure.impls.blockllm.sim.cost.model import BATCH, HALVES, ROWS, STEP, Model
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B, SHAPES, Shape
from remeasure.impls.blockllm.sim.cost.tables import STACKS, Points, read
from remeasure.impls.blockllm.sim.cost.work import work

COSTS = {stack: Costs(stack) for stack in STACKS}
models = st.sampled_from([costs.of(shape) for costs in COSTS.values() for shape in SHAPES])
decodings = st.tuples(st.integers(0, 256), st.integers(1, 4096))
prompts = st.lists(st.tuples(st.integers(1, 2048), st.one_of(st.just(0), st.integers(0, 2048))), max_size=3)
cuts = st.lists(st.integers(0, 32), max_size=5)
CASES = [(1, 1), (1, 4000), (32, 500), (256, 4096), (64, 40)]


def fastest_ms(model: Model, batch: int, context: int, prefills: list[tuple[int, int]]) -> float:
    least = work(model.shape, 32, 32, True, True, batch, batch * context, prefills)
    return 1000 * max(least.flops / A100.peak_flops, least.nbytes / A100.peak_bytes_per_s)


@given(models, decodings, prompts)
def test_no_step_is_faster_than_peak_arithmetic_and_peak_memory_allow(
    model: Model, decoding: tuple[int, int], prefills: list[tuple[int, int]]
) -> None:
    batch, context = decoding
    ms = model.step_ms(32, 32, True, True, batch, batch * context, prefills)
    assert ms >= fastest_ms(model, batch, context, prefills)


def test_that_check_finds_times_of_a_faster_gpu() -> None:
    for stack in STACKS:
        half = Costs(stack, band=0.5).of(LLAMA_7B)
        assert any(half.step_ms(32, 32, True, True, b, b * c) < fastest_ms(half, b, c, []) for b, c in CASES)


def in_pieces(
    model: Model, ends: list[int], batch: int, context: int, prefills: list[tuple[int, int]]
) -> float:
    """A whole model as blocks that end after these layers; halves of a layer in turn where an end stands twice."""
    edges = [0, *sorted(ends), 32]
    total = 0.0
    for at, (low, high) in enumerate(pairwise(edges)):
        first, last = at == 0, at == len(edges) - 2
        if high > low:
            total += model.step_ms(high - low, 0, first, False, batch, batch * context, prefills)
            total += model.step_ms(0, high - low, False, last, batch, batch * context, prefills)
        else:
            total += model.step_ms(0, 0, first, last, batch, batch * context, prefills)
    return total


@given(models, cuts, decodings, prompts)
def test_a_model_cut_into_blocks_takes_as_long_as_whole(
    model: Model, ends: list[int], decoding: tuple[int, int], prefills: list[tuple[int, int]]
) -> None:
    batch, context = decoding
    whole = model.step_ms(32, 32, True, True, batch, batch * context, prefills)
    assert in_pieces(model, ends, batch, context, prefills) == pytest.approx(whole)


def test_that_check_finds_a_cost_of_being_cut() -> None:
    class Launching(Model):
        def step_ms(self, *arguments, **named) -> float:  # type: ignore[no-untyped-def]
            return 0.05 + super().step_ms(*arguments, **named)

    model = Launching(LLAMA_7B, read("vllm"), 1.0)
    whole = model.step_ms(32, 32, True, True, 8, 4000)
    assert in_pieces(model, [10, 20], 8, 500, []) != pytest.approx(whole)


@given(st.sampled_from(STACKS), st.sampled_from([0.8, 1.2]), decodings, prompts)
def test_the_band_multiplies_every_time_of_computing(
    stack: str, band: float, decoding: tuple[int, int], prefills: list[tuple[int, int]]
) -> None:
    batch, context = decoding
    step = (32, 32, True, True, batch, batch * context, prefills)
    plain, banded = COSTS[stack].of(LLAMA_7B).step_ms(*step), BANDED[stack, band].of(LLAMA_7B).step_ms(*step)  # type: ignore[index]
    assert banded == pytest.approx(band * plain)


BANDED = {(stack, band): Costs(stack, band) for stack in STACKS for band in (0.8, 1.2)}


@pytest.mark.parametrize("stack", STACKS)
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.name)
def test_arrays_by_rows_are_whole_and_cannot_be_changed(stack: str, shape: Shape) -> None:
    costs = COSTS[stack]  # type: ignore[index]
    for ms in (
        costs.half_ms(shape, "attn"),
        costs.half_ms(shape, "ffn"),
        costs.embed_ms(shape),
        costs.head_ms(shape),
    ):
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
def test_decoding_takes_the_tables_times_at_its_points(stack: str) -> None:
    for shape in SHAPES:
        check_points(COSTS[stack].of(shape), read(stack)[shape.name, "decode"])  # type: ignore[arg-type,index]


def test_that_check_finds_contexts_a_column_off() -> None:
    class Off(Model):
        def decode_attention_ms(self, batch: int, total_context: float) -> float:
            return super().decode_attention_ms(batch, total_context + STEP * batch)

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


def test_costs_answer_as_their_models_do() -> None:
    costs, model = COSTS["sglang"], COSTS["sglang"].of(LLAMA_13B)
    assert costs.decode_attention_ms(LLAMA_13B, 3, 900) == model.decode_attention_ms(3, 900)
    assert costs.prefill_attention_ms(LLAMA_13B, 5, 7) == model.prefill_attention_ms(5, 7)
    step = (3, 4, True, True, 3, 900, [(5, 7)], 2)
    assert costs.step_ms(LLAMA_13B, *step) == model.step_ms(*step)
    assert model.attn_ms == costs.half_ms(LLAMA_13B, "attn").tolist()
    assert model.ffn_ms == costs.half_ms(LLAMA_13B, "ffn").tolist()


def test_verified_rows_share_one_read_of_the_cache() -> None:
    model = COSTS["trtllm"].of(LLAMA_7B)
    one, five = (model.step_ms(32, 32, True, True, 8, 8000, (), rows) for rows in (1, 5))
    matrices = 32 * (model.attn_ms[40] - model.attn_ms[8] + model.ffn_ms[40] - model.ffn_ms[8])
    ends = model.embed_ms[40] - model.embed_ms[8] + model.head_ms[40] - model.head_ms[8]
    assert five - one == pytest.approx(matrices + ends)


def test_nothing_to_do_takes_no_time() -> None:
    model = COSTS["vllm"].of(LLAMA_7B)
    assert model.step_ms(32, 32, True, True, 0, 0) == 0
    assert model.decode_attention_ms(0, 0) == model.prefill_attention_ms(0, 100) == 0


@pytest.mark.parametrize("new_past", [(1, ROWS), (ROWS + 1, 0), (5, -1), (-1, 5)])
def test_a_sequence_beyond_the_table_is_an_error(new_past: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"a sequence has 0 to {ROWS}"):
        COSTS["vllm"].of(LLAMA_7B).prefill_attention_ms(*new_past)


def test_a_step_beyond_the_table_is_an_error() -> None:
    with pytest.raises(ValueError, match="a step has at most 8192, split the batch"):
        COSTS["vllm"].step_ms(LLAMA_7B, 1, 1, False, False, 1, 1, [(4096, 0), (4096, 0)])


@pytest.mark.parametrize("band", [0.0, -1.0, float("nan")])
def test_a_band_that_is_no_factor_is_refused(band: float) -> None:
    with pytest.raises(UserError, match="the cost band must be above 0"):
        Costs("vllm", band)


def test_a_model_of_another_size_is_refused() -> None:
    with pytest.raises(UserError, match="no model 7b of that size; choose one of 7b, 13b"):
        COSTS["vllm"].of(replace(LLAMA_7B, layers=31))
