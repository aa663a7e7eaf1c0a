"""In tile mode a row's result depends on nothing but the row, on this machine's BLAS, for all shapes that are used."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from blockllm.execute_tenants import CONFIG, same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.execute import tiles
from remeasure.impls.blockllm.execute.tiles import MOST_ROWS, TILE, padded, tiled_linear
from remeasure.impls.blockllm.groups import places, tensors_at
from remeasure.impls.blockllm.models import deltas
from remeasure.impls.common.llama import SMOLLM2_135M, LlamaConfig

Product = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
MATRICES = ("delta_lora", 8), ("delta_adapter", 16)
ROWS = (16, 32, 48, 80, 160, 240, 256, 400, 512, 784, MOST_ROWS)


def shapes(config: LlamaConfig, *sizes: tuple[str, int]) -> set[tuple[int, int]]:
    """Of all matrices of a model and of its deltas."""
    specs = [spec for place in places(config) for spec in tensors_at(config, place)]
    for kind, size in sizes:
        specs += [spec for found in deltas.specs(config, kind, size).values() for spec in found]
    return {(spec.shape[0], spec.shape[1]) for spec in specs if len(spec.shape) == 2}


REAL = sorted(shapes(SMOLLM2_135M, *MATRICES))
SMALL = sorted(shapes(CONFIG, ("delta_lora", 3), ("delta_adapter", 5)))


def matrix(outputs: int, inputs: int) -> torch.Tensor:
    return torch.randn(outputs, inputs, generator=torch.Generator().manual_seed(outputs + inputs))


def rows(count: int, inputs: int) -> torch.Tensor:
    return torch.randn(count, inputs, generator=torch.Generator().manual_seed(count))


def alone(product: Product, x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return torch.cat([product(row[None], weights) for row in x])


def torn(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A product that sums in another order where there are few rows, as libraries like to."""
    if len(x) >= 4:
        return F.linear(x, weights)
    middle = x.shape[1] // 2
    return F.linear(x[:, :middle], weights[:, :middle]) + F.linear(x[:, middle:], weights[:, middle:])


@pytest.mark.parametrize(("outputs", "inputs"), REAL + SMALL)
def test_one_call_over_all_tiles_gives_the_bits_of_one_call_a_tile(outputs: int, inputs: int) -> None:
    weights = matrix(outputs, inputs)
    most = 64 if outputs > 10_000 else MOST_ROWS
    x = rows(most, inputs)
    apart = torch.cat([F.linear(tile, weights) for tile in torch.split(x, TILE)])
    for count in (n for n in ROWS if n <= most):
        assert same_bits(F.linear(x[:count], weights), apart[:count]), f"{count} rows"


@pytest.mark.parametrize(("outputs", "inputs"), [shape for shape in REAL + SMALL if shape[0] < 10_000])
def test_a_row_alone_gives_the_bits_of_the_row_among_others(outputs: int, inputs: int) -> None:
    weights, x = matrix(outputs, inputs), rows(37, inputs)
    assert same_bits(tiled_linear(x, weights), alone(tiled_linear, x, weights))


def test_a_product_that_minds_its_company_is_caught() -> None:
    weights, x = matrix(64, 64), rows(37, 64)
    assert not same_bits(torn(x, weights), alone(torn, x, weights))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.sampled_from([shape for shape in REAL if shape[0] < 10_000] + SMALL),
    count=st.integers(1, 70),
    others=st.integers(0, 70),
    seed=st.integers(0, 999),
)
def test_order_and_company_and_address_do_not_matter(
    shape: tuple[int, int], count: int, others: int, seed: int
) -> None:
    weights, x = matrix(*shape), rows(count, shape[1])
    alone_together = tiled_linear(x, weights)
    order = torch.randperm(count + others, generator=torch.Generator().manual_seed(seed))
    mixed = torch.cat((x, rows(others, shape[1]) * 3))[order]
    # A slice from row `seed % 3` on begins at another address.
    memory = torch.cat((torch.zeros(seed % 3, shape[1]), mixed))
    found = tiled_linear(memory[seed % 3 :], weights)
    assert same_bits(found[order.argsort()[:count]], alone_together)


def test_more_rows_than_were_tested_are_multiplied_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, x = matrix(24, 40), rows(100, 40)
    whole = tiled_linear(x, weights)
    monkeypatch.setattr(tiles, "MOST_ROWS", 32)
    assert same_bits(tiled_linear(x, weights), whole)


@pytest.mark.parametrize("width", [20, 40, 64, 88, 344, 1536])
def test_what_is_no_product_does_not_mind_its_company_in_padded_rows(width: int) -> None:
    x, gain = rows(50, width), torch.ones(width)
    for act in (F.silu, F.relu, lambda y: F.rms_norm(y, (width,), gain, 1e-5)):
        whole = act(padded(x))
        for start, end in ((0, 1), (3, 7), (7, 40)):
            assert same_bits(act(padded(x[start:end]))[: end - start], whole[start:end])


def test_padding_adds_zeros_in_tile_mode_only() -> None:
    x = rows(5, 8)
    assert padded(x).shape == (TILE, 8)
    assert not padded(x)[5:].any()
    assert padded(x, "fast") is x
    assert padded(x[:0]).shape == (0, 8)
