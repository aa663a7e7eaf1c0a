"""Small tenants for the tests of the executor: shared blocks, every kind of delta, a changed top layer, another model.

Widths are chosen to be awkward: no multiple of 16 or 32 anywhere, so that nothing is in step with a tile by luck.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
import torch

from remeasure.impls.blockllm.chain import Block, Chain, Link
from remeasure.impls.blockllm.groups import Kind, Place, places, signature, split
from remeasure.impls.blockllm.models import deltas
from remeasure.impls.common.llama import LlamaConfig, Weights, random_weights

CONFIG = LlamaConfig(3, 40, 4, 2, 88, 61, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
TENANTS = ("base", "lora a", "lora b", "bitfit", "adapter", "prefix", "top", "other")
SIZES: Mapping[Kind, int] = {"delta_lora": 3, "delta_adapter": 5, "delta_bitfit": 0, "delta_prefix": 5}
KINDS: Mapping[str, Kind] = {
    "lora a": "delta_lora",
    "lora b": "delta_lora",
    "bitfit": "delta_bitfit",
    "adapter": "delta_adapter",
    "prefix": "delta_prefix",
}


def groups(seed: int) -> list[Weights]:
    """A model's tensors by place, fp32."""
    return split(CONFIG, random_weights(CONFIG, seed))


def drawn(kind: Kind, seed: int, config: LlamaConfig = CONFIG, scale: float = 0.25) -> dict[Place, Weights]:
    """A delta that changes something everywhere it acts."""
    rng = np.random.default_rng(seed)

    def tensor(shape: tuple[int, ...]) -> torch.Tensor:
        return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).mul_(scale).clone()

    return {
        place: {spec.name: tensor(spec.shape) for spec in specs}
        for place, specs in deltas.specs(config, kind, SIZES[kind]).items()
    }


def block(place: Place, own: str, tensors: Weights, config: LlamaConfig = CONFIG) -> Block:
    return Block(f"{own} {place}", place.kind, tensors, signature(config, place.kind))


def blocks_of(own: str, held: list[Weights], config: LlamaConfig = CONFIG) -> dict[Place, Block]:
    """A model's blocks by place."""
    found = {p: block(p, own, w, config) for p, w in zip(places(config), held, strict=True)}
    head = found[Place("head")]
    found[Place("head")] = replace(head, tensors={**head.tensors, "embedding": held[0]["embedding"]})
    return found


def chain_of(
    tenant: str,
    own: Mapping[Place, Block],
    kind: Kind | None,
    acting: Mapping[Place, Weights],
    config: LlamaConfig,
) -> Chain:
    """A chain of a model's blocks with a delta's tensors."""

    def delta(place: Place) -> Block | None:
        if kind is None or place not in acting:
            return None
        return Block(f"{tenant} {place}", kind, acting[place], signature(config, place.kind))

    return Chain(tenant, config, tuple(Link(place, own[place], delta(place)) for place in places(config)))


@cache
def blocks(seed: int) -> Mapping[Place, Block]:
    """A foundation's blocks by place, one object each."""
    return blocks_of(f"{seed}", groups(seed))


@cache
def chain(tenant: str) -> Chain:
    """The chain of one of TENANTS."""
    own = dict(blocks(2 if tenant == "other" else 1))
    if tenant == "top":
        own.update({place: blocks(3)[place] for place in (Place("attn", 2), Place("ffn", 2))})
    kind = KINDS.get(tenant)
    return chain_of(tenant, own, kind, drawn(kind, TENANTS.index(tenant)) if kind else {}, CONFIG)


def chains() -> dict[str, Chain]:
    return {tenant: chain(tenant) for tenant in TENANTS}


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two fp32 tensors are the same bytes; `==` would not tell 0.0 from -0.0."""
    return left.shape == right.shape and torch.equal(
        left.clone().view(torch.int32), right.clone().view(torch.int32)
    )
