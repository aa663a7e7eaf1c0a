"""One door to all baselines: which module fits a configuration."""

from __future__ import annotations

import numpy as np

from remeasure.datasets.common.interactions import Items, Log

from . import frequency, neighbours, popularity
from .config import Baseline, Frequency, Neighbours, Popularity
from .scoring import Scorer


def fit(log: Log, items: Items, config: Baseline, generator: np.random.Generator) -> Scorer:
    """A model learned from a split's training part alone; what it draws, it draws from the generator."""
    match config:
        case Popularity():
            return popularity.fit(log, items, config, generator)
        case Frequency():
            return frequency.fit(log, items, config, generator)
        case Neighbours():
            return neighbours.fit(log, items, config, generator)
        case _:
            from . import sasrec

            return sasrec.fit(log, items, config, generator)
