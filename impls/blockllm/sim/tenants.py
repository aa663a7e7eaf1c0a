"""The apps and how their models came from a foundation (spec §5.4: 12 × 7B and 8 × 13B)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from remeasure.errors import UserError

from .cost.shapes import LLAMA_7B, LLAMA_13B, Shape

Technique = Literal["foundation", "pe", "top", "full"]
REST: tuple[Technique, ...] = ("pe", "top", "full")


@dataclass(frozen=True)
class Tenant:
    """One app: its model's family, and what fine-tuning changed."""

    shape: Shape
    technique: Technique
    top: float = 0.125
    """technique=top: share of the layers, from the top, that the app has of its own."""


@dataclass(frozen=True)
class Population:
    """How many apps of each kind there are."""

    apps: int = 20
    families: tuple[tuple[Shape, float], ...] = ((LLAMA_7B, 0.6), (LLAMA_13B, 0.4))
    """Family and its share of the apps."""
    pe: float = 0.5
    """Of a family's apps beside the foundation, the share fine-tuned by a small delta."""
    full: float = 0.25
    """Of these, the share with all weights changed; what remains has its top layers changed."""
    top: float = 0.125
    """Share of the layers that such an app changes."""

    def __post_init__(self) -> None:
        if self.apps < 1 or self.pe < 0 or self.full < 0 or self.pe + self.full > 1:
            raise UserError(
                f"{self.apps} apps with shares pe={self.pe} and full={self.full} cannot be: at least one app, "
                "shares from 0 that add up to at most 1."
            )

    def draw(self, seed: int) -> tuple[Tenant, ...]:
        """The apps in a seeded random order: which app is of which kind is chance, how many are is not."""
        tenants: list[Tenant] = []
        counts = apportion([share for _, share in self.families], self.apps)
        for (shape, _), count in zip(self.families, counts, strict=True):
            if count:
                tenants.append(Tenant(shape, "foundation"))
                kinds = apportion([self.pe, 1 - self.pe - self.full, self.full], count - 1)
                for technique, number in zip(REST, kinds, strict=True):
                    tenants += [Tenant(shape, technique, self.top)] * number
        order = np.random.default_rng([seed, 0x7E4]).permutation(len(tenants))
        return tuple(tenants[place] for place in order)


def apportion(shares: list[float], total: int) -> list[int]:
    """Whole numbers in proportion to shares that add up to `total` (largest remainders; the first wins a tie)."""
    exact = [total * share / sum(shares) for share in shares]
    counts = [int(x + 1e-9) for x in exact]
    remainders = sorted(range(len(shares)), key=lambda place: (counts[place] - exact[place], place))
    for place in remainders[: total - sum(counts)]:
        counts[place] += 1
    return counts
