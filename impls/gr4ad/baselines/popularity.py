"""Popularity, of all time or of the last days: the same list for everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remeasure.datasets.common.interactions import CAP, Items, Log, Rows

from .config import Popularity
from .scoring import Scorer

DAY = 86_400.0
"""Seconds."""


@dataclass(frozen=True, eq=False)
class PopularityModel(Scorer):
    """One score an item."""

    counts: np.ndarray
    """float32 [N], at least 0."""

    def scores(self, rows: Rows) -> np.ndarray:
        return np.tile(self.counts, (len(rows), 1))


def fit(log: Log, items: Items, config: Popularity, generator: np.random.Generator) -> PopularityModel:
    """Count; no randomness is used."""
    return PopularityModel(popularity(log, len(items), config).astype(np.float32))


def popularity(log: Log, items: int, config: Popularity) -> np.ndarray:
    """float64 [N], what `config` counts of every item."""
    user, item, value = log.user(), log.item, np.minimum(log.value, np.quantile(log.value, CAP))
    if config.days is not None:
        late = log.time > log.time.max() - config.days * DAY
        user, item, value = user[late], item[late], value[late]
    if config.by == "users":
        item = np.unique(user * items + item) % items
    counts: np.ndarray = np.bincount(item, value if config.by == "value" else None, items)
    return counts.astype(np.float64)


def recency(time: np.ndarray, now: float, half_life: float | None) -> np.ndarray:
    """float64, the shape of `time` in seconds: 1 now, half as much for every `half_life` days before; 1 without one."""
    if half_life is None:
        return np.ones(time.shape)
    weight: np.ndarray = 0.5 ** ((now - time) / (half_life * DAY))
    return weight
