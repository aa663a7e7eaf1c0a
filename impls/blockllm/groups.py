"""A model as tensor groups, the smallest things that models share (BlockLLM's blocks are runs of them).

The paper's blocks may be layers or components of a layer. Here a group is half a decoder layer, the embedding or the
head, so that such a block is a run of groups. A group's *signature* is what of the architecture its tensors do not
say: two groups with the same tensors and signature compute the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal

from remeasure.impls.common.llama import LlamaConfig, TensorSpec, Weights, parts

Kind = Literal[
    "embed",
    "attn",
    "ffn",
    "head",
    "delta_lora",
    "delta_adapter",
    "delta_bitfit",
    "delta_prefix",
    "stitch",
    "surrogate",
]
ATTENTION = ("attn_norm", "q", "k", "v", "o")
"""Tensors of a layer's first half, norm first; the others are the second's."""


@dataclass(frozen=True)
class Place:
    """Where in a model a group stands."""

    kind: Kind
    layer: int = -1
    """0 to layers - 1 for attn and ffn; -1 for embed and head. A stitch has the layer that follows it."""

    def __str__(self) -> str:
        return self.kind if self.layer < 0 else f"{self.kind} {self.layer}"


def places(config: LlamaConfig) -> list[Place]:
    """The places of a model in the order they are executed: embed, attn 0, ffn 0, attn 1, …, head."""
    halves: list[Place] = []
    for layer in range(config.layers):
        halves += Place("attn", layer), Place("ffn", layer)
    return [Place("embed"), *halves, Place("head")]


def tensors_at(config: LlamaConfig, place: Place) -> list[TensorSpec]:
    """Names and shapes of the tensors at a place. A tied head has its norm alone: its matrix is the embedding's.

    Raises ValueError for a place that models of this shape do not have.
    """
    if place not in (Place("embed"), Place("head")) and not (
        place.kind in ("attn", "ffn") and 0 <= place.layer < config.layers
    ):
        raise ValueError(f"a model of {config.layers} layers has no tensors at {place}")
    return tensors_of(config, place.kind)


def tensors_of(config: LlamaConfig, kind: Kind) -> list[TensorSpec]:
    """The same for a kind of group; a configuration that is only this kind's `signature` will do."""
    embedding, decoder, last = parts(replace(config, layers=1, heads=config.heads or 1))
    if kind in ("embed", "head"):
        return embedding if kind == "embed" else last
    return [spec for spec in decoder if (spec.name in ATTENTION) == (kind == "attn")]


def split(config: LlamaConfig, parts: Sequence[Weights]) -> list[Weights]:
    """A model's parts (embedding, layers, head) as groups in the order of `places`; the tensors are not copied."""
    sources = [parts[0], *(part for part in parts[1:-1] for _ in range(2)), parts[-1]]
    return [
        {spec.name: source[spec.name] for spec in tensors_at(config, place)}
        for place, source in zip(places(config), sources, strict=True)
    ]


def join(config: LlamaConfig, groups: Sequence[Weights]) -> list[Weights]:
    """The parts (embedding, layers, head) that `split` made groups of; the tensors are not copied."""
    halves = [{**groups[2 * n + 1], **groups[2 * n + 2]} for n in range(config.layers)]
    return [groups[0], *halves, groups[-1]]


def parameters(config: LlamaConfig, place: Place) -> int:
    """How many numbers the group at a place holds."""
    return sum(prod(spec.shape) for spec in tensors_at(config, place))


def nbytes(config: LlamaConfig, place: Place, itemsize: int = 2) -> int:
    """Bytes of the tensors at a place; in fp16 unless said otherwise."""
    return itemsize * parameters(config, place)


def signature(config: LlamaConfig, kind: Kind) -> LlamaConfig:
    """The part of a configuration that a block of this kind depends on; every other field is zero.

    It can be given to `llama.attention` and `llama.feed_forward` in place of the model's: they read no other fields.
    """
    nothing = LlamaConfig(0, 0, 0, 0, 0, 0, rope_theta=0.0, norm_eps=0.0, tied=False)
    if kind == "embed":
        return replace(nothing, width=config.width, vocab=config.vocab)
    if kind == "head":
        return replace(
            nothing, width=config.width, vocab=config.vocab, norm_eps=config.norm_eps, tied=config.tied
        )
    if kind == "attn":
        return replace(
            nothing,
            width=config.width,
            heads=config.heads,
            kv_heads=config.kv_heads,
            rope_theta=config.rope_theta,
            norm_eps=config.norm_eps,
        )
    if kind == "ffn":
        return replace(nothing, width=config.width, ffn=config.ffn, norm_eps=config.norm_eps)
    raise ValueError(f"a {kind} block takes the signature of the block that it stands for")
