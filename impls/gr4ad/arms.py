"""One door to every recommender: from an arm's configuration to a model that answers rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from remeasure.datasets.common.interactions import Rows, Split

from .baselines import fitting
from .baselines.cascade.config import Cascade
from .baselines.config import Baseline
from .baselines.tiger.config import Tiger
from .questions import Generating

if TYPE_CHECKING:
    from .learning.prefer import Reward

Recommending = Baseline | Tiger | Cascade | Generating


class Model(Protocol):
    """What every arm is once it is fitted."""

    def top(self, rows: Rows, k: int, exclude_seen: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of every row, int64 [R, k], and their scores, float32 [R, k]; −1 where a list ends."""


def fitted(
    asked: Recommending,
    split: Split,
    seed: int,
    worth: np.ndarray | None = None,
    reward: Reward | None = None,
) -> Model:
    """Fitted to the split's training part alone.

    worth    float64 [N], the items' value as it is known at serving; it orders lists and is never learned from
    reward   what scores the lists of preference learning
    """
    rng = np.random.default_rng([seed, 17])
    match asked:
        case Generating():
            from .generator import fit

            return fit(split, asked, seed, worth, reward)
        case Tiger():
            from .baselines.tiger import model
            from .generator import tokenized

            sizes = (asked.codes, asked.codes, asked.codes)
            tokens = tokenized(split, Generating("rqvae+counter", sizes), seed)
            return model.fit(split.train, tokens.sids, tokens.codes, asked, rng)
        case Cascade():
            from .baselines.cascade import fitting as cascade
            from .generator import content
            from .sid.vectors import Content

            vectors = content(split, Content(), rng)
            return cascade.fit(split.train, split.items, vectors, asked, rng, worth)
        case _:
            return fitting.fit(split.train, split.items, asked, rng)
