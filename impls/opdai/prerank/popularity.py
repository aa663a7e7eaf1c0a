"""Popularity: how many users have the item (the strawman of every cross-market paper)."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..corpus import Corpus
from .cooccurrence import item_counts


@dataclass(frozen=True)
class Popularity:
    users: Literal["target", "all"] = "target"
    """whose interactions count: the target market's, or every market's of the corpus"""
    name: ClassVar[str] = "popularity"

    def fit(self, corpus: Corpus, seed: int = 0) -> "PopularityScorer":
        matrix = corpus.ratings[corpus.target_rows] if self.users == "target" else corpus.ratings
        return PopularityScorer(item_counts(matrix).astype(np.float32))


class PopularityScorer:
    """The same score for every known user; counts float32 [items]."""

    def __init__(self, counts: np.ndarray) -> None:
        self._counts = counts

    def score(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Scorer.score`."""
        scores: np.ndarray = self._counts[candidates]
        scores[candidates < 0] = 0
        scores[users < 0] = 0
        return scores
