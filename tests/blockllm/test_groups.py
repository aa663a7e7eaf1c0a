"""Groups: what a model is cut into, that nothing is lost by it, and what the paper's models weigh group by group."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from remeasure.impls.blockllm.groups import (
    Place,
    join,
    nbytes,
    parameters,
    places,
    signature,
    split,
    tensors_at,
    tensors_of,
)
from remeasure.impls.common.llama import (
    KV,
    MICRO,
    SMALL,
    SMOLLM2_135M,
    LlamaConfig,
    attention,
    feed_forward,
    parts,
    random_weights,
)

LLAMA_7B = LlamaConfig(32, 4096, 32, 32, 11008, 32000, rope_theta=10_000.0, norm_eps=1e-5, tied=False)
LLAMA_13B = LlamaConfig(40, 5120, 40, 40, 13824, 32000, rope_theta=10_000.0, norm_eps=1e-5, tied=False)


def test_groups_stand_in_the_order_of_execution() -> None:
    assert [str(place) for place in places(MICRO)] == ["embed", "attn 0", "ffn 0", "attn 1", "ffn 1", "head"]


@pytest.mark.parametrize(
    "config", [MICRO, SMALL, replace(MICRO, tied=False)], ids=["tied", "untied", "small"]
)
def test_cutting_a_model_loses_nothing_and_copies_nothing(config: LlamaConfig) -> None:
    whole = random_weights(config, 1)
    groups = split(config, whole)
    for place, group in zip(places(config), groups, strict=True):
        assert {name: tuple(t.shape) for name, t in group.items()} == {
            s.name: s.shape for s in tensors_at(config, place)
        }
    for part, again in zip(whole, join(config, groups), strict=True):
        assert part.keys() == again.keys() and all(part[name] is again[name] for name in part)


@pytest.mark.parametrize("config", [MICRO, SMALL])
def test_groups_have_every_tensor_of_the_model_once(config: LlamaConfig) -> None:
    grouped = [spec for place in places(config) for spec in tensors_at(config, place)]
    assert sorted(map(repr, grouped)) == sorted(repr(spec) for part in parts(config) for spec in part)


@pytest.mark.parametrize(
    "place", [Place("attn", 2), Place("ffn", -1), Place("embed", 0), Place("delta_lora", 0)]
)
def test_a_place_that_the_model_does_not_have_is_refused(place: Place) -> None:
    with pytest.raises(ValueError, match=f"no tensors at {place}"):
        tensors_at(MICRO, place)


def test_smollm2_weighs_what_was_said_of_it() -> None:
    at = dict.fromkeys(["embed", "attn", "ffn", "head"], 0)
    for place in places(SMOLLM2_135M):
        at[place.kind] = nbytes(SMOLLM2_135M, place)
    assert at == {"embed": 56_623_104, "attn": 1_770_624, "ffn": 5_309_568, "head": 1_152}
    assert sum(parameters(SMOLLM2_135M, place) for place in places(SMOLLM2_135M)) == 134_515_008


@pytest.mark.parametrize(
    ("config", "attn", "ffn", "embed", "total"),
    [(LLAMA_7B, 134.2, 270.5, 262.1, 13.48), (LLAMA_13B, 209.7, 424.7, 327.7, 26.03)],
    ids=["7B", "13B"],
)
def test_llama_weighs_what_was_said_of_it(
    config: LlamaConfig, attn: float, ffn: float, embed: float, total: float
) -> None:
    """MB of an attention, a feed-forward and an embedding group, GB of all."""
    mb = [nbytes(config, place) / 1e6 for place in (Place("attn", 0), Place("ffn", 0), Place("embed"))]
    assert [round(size, 1) for size in mb] == [attn, ffn, embed]
    assert round(sum(nbytes(config, place) for place in places(config)) / 1e9, 2) == total


def test_a_signature_is_all_of_the_architecture_that_a_block_needs() -> None:
    weights = random_weights(MICRO, 1)[1]
    x = torch.randn(5, MICRO.width, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(
            attention(MICRO, 0, x, weights, KV(MICRO, 8)),
            attention(signature(MICRO, "attn"), 0, x, weights, KV(MICRO, 8)),
        )
        assert torch.equal(feed_forward(MICRO, x, weights), feed_forward(signature(MICRO, "ffn"), x, weights))


@pytest.mark.parametrize("kind", ["embed", "attn", "ffn", "head"])
def test_a_signature_says_what_a_block_is_and_nothing_of_the_model_around_it(kind: str) -> None:
    bigger = replace(MICRO, layers=7)
    assert signature(MICRO, kind) == signature(bigger, kind)  # type: ignore[arg-type]
    assert tensors_of(signature(MICRO, kind), kind) == tensors_of(MICRO, kind)  # type: ignore[arg-type]
    matters = {
        "embed": {"width": 32, "vocab": 9},
        "attn": {"width": 32, "heads": 2, "kv_heads": 1, "rope_theta": 9.0, "norm_eps": 0.1},
        "ffn": {"width": 32, "ffn": 9, "norm_eps": 0.1},
        "head": {"width": 32, "vocab": 9, "norm_eps": 0.1, "tied": False},
    }
    for field, value in {"ffn": 9, "heads": 2, "vocab": 9, **matters[kind]}.items():
        other = signature(replace(MICRO, **{field: value}), kind)  # type: ignore[arg-type]
        assert (other != signature(MICRO, kind)) == (field in matters[kind]), field  # type: ignore[arg-type]


def test_a_delta_has_no_signature_of_its_own() -> None:
    with pytest.raises(ValueError, match="delta_lora"):
        signature(MICRO, "delta_lora")
