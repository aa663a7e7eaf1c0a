"""The one interface of all pre-rankers (OPDAI's "pre-ranking models").

A pre-ranker is a frozen config that can be fitted to a corpus; fitting gives a scorer. Rows and columns
are the corpus's own; -1 stands for a user or an item that the corpus does not hold.
"""

from typing import ClassVar, Protocol

import numpy as np

from ..corpus import Corpus


class Scorer(Protocol):
    """A fitted model."""

    def score(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Scores of each user's candidates.

        users       int32 [U], corpus rows, -1 = unknown
        candidates  int32 [U, C], corpus columns, -1 = unknown
        returns     float32 [U, C]; an unknown user, an unknown item and an empty history score 0
        """
        ...


class PreRanker(Protocol):
    """A hashable config: a frozen dataclass of JSON-able fields."""

    name: ClassVar[str]

    def fit(self, corpus: Corpus, seed: int = 0) -> Scorer:
        """Fit to every interaction of the corpus; same corpus and seed, same scores to the byte."""
        ...
