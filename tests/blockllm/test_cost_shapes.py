"""Sizes of the simulated models are exact, down to the byte, and what a GPU has room for follows from them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remeasure.impls.blockllm.sim.cost.gpu import A100
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B, Shape

MB, GB, KIB = 1e6, 1e9, 1024


@pytest.mark.parametrize(
    ("shape", "attn", "ffn", "layer", "embed", "model", "kv_kib", "kv_layer_kib", "hidden_kib"),
    [
        (LLAMA_7B, 134.2, 270.5, 404.8, 262.1, 13.48, 512, 16, 8),
        (LLAMA_13B, 209.7, 424.7, 634.4, 327.7, 26.03, 800, 20, 10),
    ],
    ids=["7b", "13b"],
)
def test_sizes_are_those_of_the_specification(
    shape: Shape,
    attn: float,
    ffn: float,
    layer: float,
    embed: float,
    model: float,
    kv_kib: int,
    kv_layer_kib: int,
    hidden_kib: int,
) -> None:
    halves = (shape.attn_bytes, shape.ffn_bytes, shape.layer_bytes)
    assert [round(nbytes / MB, 1) for nbytes in halves] == [attn, ffn, layer]
    assert round(shape.embed_bytes / MB, 1) == embed
    assert shape.head_bytes - shape.embed_bytes == shape.hidden_bytes_per_token, "the last norm"
    assert round(shape.model_bytes / GB, 2) == model
    assert shape.kv_bytes_per_token == kv_kib * KIB
    assert shape.kv_bytes_per_token_layer == kv_layer_kib * KIB
    assert shape.hidden_bytes_per_token == hidden_kib * KIB
    assert shape.context == 4096


def test_whole_models_have_the_published_numbers_of_parameters() -> None:
    assert LLAMA_7B.model_bytes == 2 * 6_738_415_616
    assert LLAMA_13B.model_bytes == 2 * 13_015_864_320
    assert replace(LLAMA_7B, layers=31).model_bytes != 2 * 6_738_415_616


def test_a_gpu_holds_what_its_reserve_leaves() -> None:
    assert A100.usable_bytes == 76.5e9
    assert 5 * LLAMA_7B.model_bytes < A100.usable_bytes < 6 * LLAMA_7B.model_bytes
    assert replace(A100, reserve_bytes=0).usable_bytes == 80e9
