"""The family of models that the real cases store, load and run: a foundation and its tenants' variants.

`smollm2` is SmolLM2-135M with variants trained on tenants' texts, `bytes` a small model that reads bytes, `micro` the
same in seconds, for tests. All are made once and kept in the user's cache by their recipes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from .chain import Model
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


class _Same:
    """Data by identity, so that a block makes its family once."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __hash__(self) -> int:
        return id(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.data is other.data


def texts_of(data: Any, part: Literal["valid", "test"] = "valid") -> Texts:
    """By tenant: its training text, cut to what is used, and text that is held out."""
    return {
        tenant: (texts.joined("train")[:BLOCK], texts.joined(part)) for tenant, texts in data.texts.items()
    }


def models(config: Family, data: Any) -> dict[str, Model]:
    """The foundation first, then every variant, by name."""
    return _models(config.model, _Same(data))


@lru_cache(maxsize=1)
def _models(which: Which, data: _Same) -> dict[str, Model]:
    from .models.corpus import digest
    from .models.recipes import FAMILY, Recipe, fingerprint
    from .models.variants import variant

    base = foundation(which, data.data)
    texts = texts_of(data.data)
    tenants = list(texts)
    print_of_base = fingerprint(base)
    found = {base.name: base}
    for member in FAMILY:
        if member.technique == "top_layers" and member.size >= LAYERS[which]:
            continue
        tenant = tenants[member.tenant % len(tenants)]
        text = texts[tenant][0]
        recipe = Recipe(
            member.technique,
            print_of_base,
            digest(text),
            member.size,
            member.steps if which == "smollm2" else STEPS[which],
            member.learning_rate,
        )
        name = member.name(tenant)
        found[name] = variant(recipe, base, text, name)
    return found


def foundation(which: Which, data: Any) -> Model:
    """The model that the others start from."""
    return _foundation(which, _Same(data))


@lru_cache(maxsize=1)
def _foundation(which: Which, data: _Same) -> Model:
    from .models.foundation import foundation as real
    from .models.small import WIDTH_32, WIDTH_128, small

    if which == "smollm2":
        return real()
    text = "\n\n".join(train for train, _ in texts_of(data.data).values())
    config, steps = (WIDTH_128, 400) if which == "bytes" else (WIDTH_32, 20)
    return replace(small(text, config, steps), name="foundation")
