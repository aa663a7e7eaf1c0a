"""How a tenant's variant is made from a foundation: everything that decides its tensors, and a name that follows.

The techniques are those that leave most of a foundation as it is (LoRA, adapters, BitFit, prefixes, the last layers)
and the one that leaves nothing, full fine-tuning, which is the hard case for sharing.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal

from remeasure.impls.common.llama import LlamaConfig, TensorSpec

from ..chain import Model
from ..groups import Kind, Place, places, tensors_at
from .corpus import Texts, digest
from .deltas import specs

Technique = Literal["lora", "adapter", "bitfit", "prefix", "top_layers", "full"]
DELTAS: dict[Technique, Kind] = {
    "lora": "delta_lora",
    "adapter": "delta_adapter",
    "bitfit": "delta_bitfit",
    "prefix": "delta_prefix",
}
"""Techniques that add a delta; the others replace groups of the foundation."""
SCHEME = 1
"""Counts changes of `training`, `deltas` or `forward` after which a recipe gives other tensors."""


@dataclass(frozen=True)
class Recipe:
    """One training run; equal recipes give equal bytes on the same machine with as many threads."""

    technique: Technique
    """What is trained."""
    foundation: str
    """`fingerprint` of the model that it starts from."""
    text: str
    """`corpus.digest` of the text that it learns."""
    size: int = 0
    """LoRA: rank; adapter: inner width; prefix: tokens; top_layers: layers. 0 for the others."""
    steps: int = 60
    """Steps of AdamW."""
    learning_rate: float = 1e-3
    """The highest of the run; it rises over the first tenth of the steps and falls to zero over the others."""
    batch: int = 2
    """Blocks of text a step."""
    length: int = 128
    """Tokens of a block."""
    seed: int = 0
    """Of the order of the blocks and of a delta's first values."""

    def __post_init__(self) -> None:
        if (self.size > 0) != (self.technique not in ("bitfit", "full")):
            raise ValueError(f"size = {self.size} means nothing for the technique {self.technique}")
        if min(self.steps, self.batch, self.length) < 1:
            raise ValueError("a recipe needs at least one step of one block of one token")

    @property
    def kind(self) -> Kind | None:
        """The delta that it adds, if it adds one."""
        return DELTAS.get(self.technique)

    @property
    def digest(self) -> str:
        """sha256, in hex, over all fields and `SCHEME`."""
        return hashlib.sha256(json.dumps([SCHEME, asdict(self)], sort_keys=True).encode()).hexdigest()


def learned(recipe: Recipe, config: LlamaConfig) -> dict[Place, list[TensorSpec]]:
    """The tensors that a recipe trains, by place in the order of `groups.places`: the delta's, or whole groups.

    Raises ValueError for more layers than the model has.
    """
    if recipe.kind:
        return specs(config, recipe.kind, recipe.size)
    if recipe.size > config.layers:
        raise ValueError(f"the last {recipe.size} layers of a model of {config.layers} cannot be trained")
    first = config.layers - recipe.size
    chosen = (p for p in places(config) if recipe.technique == "full" or p.layer >= first)
    return {place: tensors_at(config, place) for place in chosen}


def fingerprint(model: Model) -> str:
    """sha256, in hex, over a model's shape and the bytes of its groups; a delta is refused with a ValueError."""
    if model.delta:
        raise ValueError(f"{model.name} has a delta; a variant starts from a foundation")
    found = hashlib.sha256(repr(model.config).encode())
    for place, group in zip(places(model.config), model.groups, strict=True):
        for name, tensor in group.items():
            found.update(f"{place} {name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.contiguous().numpy().reshape(-1).view("u1").data)
    return found.hexdigest()


@dataclass(frozen=True)
class Member:
    """One variant of the family, whatever its tenant's text is."""

    technique: Technique
    size: int
    tenant: int
    """Its place among the tenants, counted from the front again where there are fewer."""
    learning_rate: float
    steps: int = 60

    def name(self, tenant: str) -> str:
        """Such as top_layers-4 on speeches."""
        return f"{self.technique}{f'-{self.size}' if self.size else ''} on {tenant}"


FAMILY = (
    Member("lora", 8, 0, 2e-3),
    Member("lora", 8, 1, 2e-3),
    Member("lora", 8, 2, 2e-3),
    Member("adapter", 16, 0, 2e-3),
    Member("bitfit", 0, 0, 5e-3),
    Member("prefix", 100, 0, 1e-2),
    Member("top_layers", 2, 0, 3e-4),
    Member("top_layers", 4, 0, 3e-4),
    Member("full", 0, 0, 5e-5),
)
"""The variants of SmolLM2 beside the foundation itself."""


def family(
    foundation: Model, texts: Texts, seed: int = 0, steps: int | None = None
) -> dict[str, tuple[Recipe, str]]:
    """The family on these tenants' texts: by name, the recipe and the text it learns; equal recipes are one variant.

    steps: of training, instead of each member's own. Of a small foundation the members that would replace all its
    layers are left out: they are full fine-tunes.
    """
    base, tenants = fingerprint(foundation), list(texts)
    found = {}
    for member in FAMILY:
        if member.technique == "top_layers" and member.size >= foundation.config.layers:
            continue
        tenant = tenants[member.tenant % len(tenants)]
        text = texts[tenant][0]
        found[member.name(tenant)] = (
            Recipe(
                member.technique,
                base,
                digest(text),
                member.size,
                member.steps if steps is None else steps,
                member.learning_rate,
                seed=seed,
            ),
            text,
        )
    return found
