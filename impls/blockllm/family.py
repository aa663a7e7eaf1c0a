"""The family of models that the real cases store, load and run: a foundation and its tenants' variants.

`smollm2` is SmolLM2-135M with variants trained on tenants' texts, `bytes` a small model that reads bytes, `micro` the
same in seconds, for tests. All are made once and kept in the user's cache by their recipes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from remeasure.errors import UserError

if TYPE_CHECKING:
    from remeasure.impls.common.llama import LlamaConfig

    from .chain import Chain, Model
    from .models.corpus import Texts

Which = Literal["smollm2", "bytes", "micro"]
LAYERS: Mapping[Which, int] = {"smollm2": 30, "bytes": 4, "micro": 2}
STEPS: Mapping[Which, int] = {"smollm2": 60, "bytes": 40, "micro": 4}
"""Training steps of a variant."""
BLOCK = 200_000
"""Characters of a tenant's training text that are used: more than any variant sees."""


@dataclass(frozen=True)
class Family:
    """Which family of models."""

    model: Which = "smollm2"
    """smollm2: the real one; bytes: small; micro: for tests."""


class Same:
    """Data by identity, so that a block makes its family once."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __hash__(self) -> int:
        return id(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.data is other.data


def texts_of(data: Any, part: Literal["valid", "test"] = "valid") -> Texts:
    """By tenant: its training text, cut to what is used, and text that is held out."""
    return {
        tenant: (texts.joined("train")[:BLOCK], texts.joined(part)) for tenant, texts in data.texts.items()
    }


def models(config: Family, data: Any) -> dict[str, Model]:
    """The foundation first, then every variant, by name."""
    return _models(config.model, Same(data))


@lru_cache(maxsize=1)
def _models(which: Which, data: Same) -> dict[str, Model]:
    from .models.variants import variants

    steps = None if which == "smollm2" else STEPS[which]
    return {
        model.name: model
        for model in variants(foundation(which, data.data), texts_of(data.data), steps=steps)
    }


def chains(which: Which, data: Any) -> dict[str, Chain]:
    """The whole family ready to run, by name; what its models share is in memory once."""
    return _chains(which, Same(data))


@lru_cache(maxsize=1)
def _chains(which: Which, data: Same) -> dict[str, Chain]:
    from .chain import Block
    from .zoo.assemble import chain_of

    blocks: dict[str, Block] = {}
    return {name: chain_of(model, blocks) for name, model in _models(which, data).items()}


def tenant_of(model: str, tenants: Sequence[str]) -> str:
    """Whose texts a model of the family was trained for; a foundation counts as the first tenant's."""
    return next((tenant for tenant in tenants if model.endswith(f" on {tenant}")), tenants[0])


def technique_of(model: str) -> str:
    """Such as lora; base for a foundation."""
    return model.partition(" on ")[0].partition("-")[0] if " on " in model else "base"


def foundation(which: Which, data: Any) -> Model:
    """The model that the others start from."""
    return _foundation(which, Same(data))


@lru_cache(maxsize=1)
def _foundation(which: Which, data: Same) -> Model:
    from .models.foundation import foundation as real
    from .models.small import WIDTH_32, WIDTH_128

    if which == "smollm2":
        return real()
    return _trained(WIDTH_128 if which == "bytes" else WIDTH_32, which, data.data, "foundation")


def wider(which: Which, data: Any) -> Model:
    """A foundation half as wide again as a small one, trained on the same texts: what stitches lead to.

    Raises UserError for SmolLM2, which has no such relative.
    """
    from .models.small import WIDTH_48, WIDTH_192

    if which == "smollm2":
        raise UserError("there is no wider relative of SmolLM2; take a small model, or stitch into itself.")
    return _trained(WIDTH_192 if which == "bytes" else WIDTH_48, which, data, "wider foundation")


def _trained(config: LlamaConfig, which: Which, data: Any, name: str) -> Model:
    from .models.small import small

    text = "\n\n".join(train for train, _ in texts_of(data).values())
    return replace(small(text, config, 400 if which == "bytes" else 20), name=name)
