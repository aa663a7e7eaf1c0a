"""Which swaps are allowed, decided by what the whole chain says, and what a cosine alone would have decided.

A swap is allowed if on held-out text its KL divergence is small enough and its top-1 agreement large enough. Parameter
cosine is shown beside it because it is the obvious test: it tells the same layer, fine-tuned, from another layer, but
does not bound the damage. (Specification §1.4.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .equivalence import Row, Swap


@dataclass(frozen=True)
class Thresholds:
    """Both must hold, as means over documents."""

    kl: float
    """Largest KL divergence, nat."""
    agree: float
    """Smallest share of tokens with the same likeliest next token."""

    def allows(self, row: Row) -> bool:
        return row.kl <= self.kl and row.agree >= self.agree


def decide(rows: Sequence[Row], thresholds: Thresholds) -> frozenset[Swap]:
    """The swaps that are allowed. The rows must be of text that is not reported on afterwards."""
    return frozenset(row.swap for row in rows if thresholds.allows(row))


@dataclass(frozen=True, eq=False)
class LetThrough:
    """A threshold of parameter cosine alone, held to what KL divergence and agreement say."""

    cosine: float
    """The threshold."""
    accepted: tuple[Row, ...]
    """At least as alike."""
    wrongly: tuple[Row, ...]
    """Of these, what KL divergence or agreement refuses; the worst first."""
    missed: tuple[Row, ...]
    """Less alike, but harmless."""


def let_through(rows: Sequence[Row], cosine: float, thresholds: Thresholds) -> LetThrough:
    """What a threshold of the cosine would do with these swaps."""
    accepted = [row for row in rows if row.likeness.cosine >= cosine]
    wrongly = sorted((row for row in accepted if not thresholds.allows(row)), key=lambda row: -row.kl)
    missed = (row for row in rows if not row.likeness.cosine >= cosine and thresholds.allows(row))
    return LetThrough(cosine, tuple(accepted), tuple(wrongly), tuple(missed))


def rank_correlations(rows: Sequence[Row]) -> dict[str, float]:
    """Spearman's ρ of cosine and -KL, 1 where more alike is always less harmful; NaN where there is nothing to rank.

    Over swaps within a layer, over those of them whose matrices differ at all, and over all.
    """
    within = [row for row in rows if row.swap.same_layer]
    return {
        "same layer": _spearman(within),
        "same layer, matrices differ": _spearman([row for row in within if not row.likeness.blind]),
        "all": _spearman(rows),
    }


def _spearman(rows: Sequence[Row]) -> float:
    cosines = np.array([row.likeness.cosine for row in rows])
    harmless = np.array([-row.kl for row in rows])
    if min(len(np.unique(cosines)), len(np.unique(harmless))) < 2:
        return math.nan
    return float(stats.spearmanr(cosines, harmless).statistic)
