"""Dunning's log-likelihood ratio of two items' users (OPDAI "LLR"; authors' `llr`).

The 2 x 2 table of (has i, has j) over all users of the corpus, k11 = common users; 2 * (row entropy +
column entropy - table entropy) in Dunning's unnormalised entropies, summed over the history. Pairs
without a common user count 0. The table holds the number of users, so merging an unrelated market
changes the scores.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import xlogy

from ..corpus import Corpus
from .cooccurrence import CooccurrenceScorer, item_counts


@dataclass(frozen=True)
class LogLikelihoodRatio:
    name: ClassVar[str] = "llr"

    def fit(self, corpus: Corpus, seed: int = 0) -> CooccurrenceScorer:
        count = item_counts(corpus.binary).astype(np.float64)
        total = float(corpus.binary.shape[0])

        def similarity(common: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
            both = common.astype(np.float64)
            only_i, only_j = count[i] - both, count[j] - both
            neither = total - both - only_i - only_j
            cells = sum(xlogy(k, k) for k in (both, only_i, only_j, neither))
            margins = sum(xlogy(k, k) for k in (count[i], total - count[i], count[j], total - count[j]))
            ratio: np.ndarray = np.maximum(2 * (cells - margins + xlogy(total, total)), 0)
            return ratio

        return CooccurrenceScorer(corpus.binary, corpus.binary, similarity)
