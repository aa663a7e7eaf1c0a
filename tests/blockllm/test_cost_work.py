"""Operations and bytes of a step, counted by hand where that is easy, and additive over blocks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B, SHAPES, Shape
from remeasure.impls.blockllm.sim.cost.work import Work, work

shapes = st.sampled_from(SHAPES)
prompts = st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500)), max_size=3)


def test_a_decoded_token_passes_every_weight_once() -> None:
    done = work(LLAMA_7B, 32, 32, False, True, 1, 0)
    matrices = LLAMA_7B.layers * LLAMA_7B.layer_bytes + LLAMA_7B.head_bytes
    assert done.flops == pytest.approx(matrices, rel=1e-4), "two operations for the two bytes of a weight"
    assert done.nbytes == pytest.approx(matrices, rel=1e-3)


def test_attention_sees_every_pair_of_tokens_that_it_may_see() -> None:
    def attention(*step: object) -> float:
        return work(LLAMA_13B, 1, 0, False, False, *step).flops  # type: ignore[arg-type]

    projections = 8 * 5120**2
    assert attention(0, 0, [(3, 0)]) - 3 * projections == 4 * 5120 * (1 + 2 + 3)
    assert attention(0, 0, [(2, 10)]) - 2 * projections == 4 * 5120 * (11 + 12)
    assert attention(2, 30) - 2 * projections == 4 * 5120 * 30


def plus(a: Work, b: Work) -> tuple[float, float]:
    return a.flops + b.flops, a.nbytes + b.nbytes


@given(shapes, st.integers(0, 20), st.integers(0, 20), st.integers(0, 50), prompts)
def test_blocks_add_up_to_the_model(
    shape: Shape, low: int, high: int, batch: int, prefills: list[tuple[int, int]]
) -> None:
    step = (batch, 100 * batch, prefills)
    first = work(shape, low, high, True, False, *step)
    second = work(shape, high, low, False, True, *step)
    both = low + high
    whole = work(shape, both, both, True, True, *step)
    assert plus(first, second) == pytest.approx((whole.flops, whole.nbytes))


@given(shapes, st.integers(1, 50), prompts)
def test_a_shared_batch_does_the_same_operations_and_moves_fewer_bytes(
    shape: Shape, batch: int, prefills: list[tuple[int, int]]
) -> None:
    one = work(shape, 1, 1, False, True, batch, 100 * batch)
    other = work(shape, 1, 1, False, True, 1, 50, prefills)
    together = work(shape, 1, 1, False, True, batch + 1, 100 * batch + 50, prefills)
    assert together.flops == pytest.approx(one.flops + other.flops)
    saved = shape.layer_bytes + shape.head_bytes
    assert together.nbytes == pytest.approx(one.nbytes + other.nbytes - saved)


def test_verifying_drafted_tokens_multiplies_operations_not_reads() -> None:
    one, five = (work(LLAMA_7B, 32, 32, False, True, 4, 4000, (), rows) for rows in (1, 5))
    assert five.flops == pytest.approx(5 * one.flops)
    assert five.nbytes < 1.01 * one.nbytes


def test_nothing_to_do_is_no_work() -> None:
    assert work(LLAMA_7B, 32, 32, True, True, 0, 0) == Work(0.0, 0.0)
