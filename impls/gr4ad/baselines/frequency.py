"""Personal frequency: what the user took most often, then what is popular."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remeasure.datasets.common.interactions import Items, Log, Rows

from .config import Frequency, Popularity
from .popularity import popularity
from .scoring import Scorer, weights

REST = 1e-3
"""The most that popularity adds to a score: it orders equal counts, and decides where the user never took an item."""


@dataclass(frozen=True, eq=False)
class FrequencyModel(Scorer):
    """A weight for each item of the history, and one score for the rest."""

    config: Frequency
    rest: np.ndarray
    """float32 [N], 0 to `REST`."""

    def scores(self, rows: Rows) -> np.ndarray:
        counts = weights(rows, self.config.size, self.config.decay, len(self.rest))
        taken = counts.copy()
        taken.data[:] = 1.0
        scores: np.ndarray = (counts + taken).toarray() + self.rest
        return scores


def fit(log: Log, items: Items, config: Frequency, generator: np.random.Generator) -> FrequencyModel:
    """Count what is popular; no randomness is used."""
    rest = popularity(log, len(items), Popularity(config.days, config.by))
    return FrequencyModel(config, (REST * rest / max(rest.max(), 1.0)).astype(np.float32))
