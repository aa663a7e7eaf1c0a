"""Operations and bytes of a step, counted by hand where that is easy, and additive over blocks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from blockllm.cost_steps import whole
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B, SHAPES, Shape
from remeasure.impls.blockllm.sim.cost.step import Step
from remeasure.impls.blockllm.sim.cost.work import Work, work

shapes = st.sampled_from(SHAPES)
prompts = st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), max_size=3)


def test_a_decoded_token_passes_every_weight_once() -> None:
    done = work(LLAMA_7B, replace(whole(1), embed=False))
    matrices = LLAMA_7B.layers * LLAMA_7B.layer_bytes + LLAMA_7B.head_bytes
    assert done.flops == pytest.approx(matrices, rel=1e-4), "two operations for the two bytes of a weight"
    assert done.nbytes == pytest.approx(matrices, rel=1e-3)


def test_attention_sees_every_pair_of_tokens_that_it_may_see() -> None:
    def attention(step: Step) -> float:
        return work(LLAMA_13B, replace(step, attn_layers=1, ffn_layers=0, embed=False, head=False)).flops

    projections = 8 * 5120**2
    assert attention(whole(prefills=[(3, 0)])) - 3 * projections == 4 * 5120 * (1 + 2 + 3)
    assert attention(whole(prefills=[(2, 10)])) - 2 * projections == 4 * 5120 * (11 + 12)
    assert attention(whole(2, 15)) - 2 * projections == 4 * 5120 * 30


def plus(a: Work, b: Work) -> tuple[float, float]:
    return a.flops + b.flops, a.nbytes + b.nbytes


@given(shapes, st.integers(0, 20), st.integers(0, 20), st.integers(0, 50), prompts)
def test_blocks_add_up_to_the_model(
    shape: Shape, low: int, high: int, batch: int, prefills: list[tuple[int, int]]
) -> None:
    step = whole(batch, 100, prefills, layers=low + high)
    first = work(shape, replace(step, attn_layers=low, ffn_layers=high, head=False))
    second = work(shape, replace(step, attn_layers=high, ffn_layers=low, embed=False))
    together = work(shape, step)
    assert plus(first, second) == pytest.approx((together.flops, together.nbytes))


@given(shapes, st.integers(1, 50), prompts)
def test_a_shared_batch_does_the_same_operations_and_moves_fewer_bytes(
    shape: Shape, batch: int, prefills: list[tuple[int, int]]
) -> None:
    last = Step(attn_layers=1, ffn_layers=1, embed=False, head=True, decode_batch=1, decode_context=50)
    joining = replace(last, prefills=tuple(prefills))
    one = work(shape, replace(last, decode_batch=batch, decode_context=100 * batch))
    other = work(shape, joining)
    together = work(shape, replace(joining, decode_batch=batch + 1, decode_context=100 * batch + 50))
    assert together.flops == pytest.approx(one.flops + other.flops)
    saved = shape.layer_bytes + shape.head_bytes
    assert together.nbytes == pytest.approx(one.nbytes + other.nbytes - saved)


def test_verifying_drafted_tokens_multiplies_operations_not_reads() -> None:
    one, five = (work(LLAMA_7B, replace(whole(4, 1000, rows_each=rows), embed=False)) for rows in (1, 5))
    assert five.flops == pytest.approx(5 * one.flops)
    assert five.nbytes < 1.01 * one.nbytes


def test_nothing_to_do_is_no_work() -> None:
    assert work(LLAMA_7B, whole()) == Work(0.0, 0.0)


def test_the_head_sees_every_decoding_row_and_the_last_row_of_each_prompt() -> None:
    step = whole(3, 10, [(7, 0), (2, 5)], rows_each=4)
    assert (step.rows, step.head_rows) == (3 * 4 + 7 + 2, 3 * 4 + 2)
