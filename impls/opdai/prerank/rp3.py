"""RP3beta: three steps of a random walk, popular ends damped (a rival's choice, spec section 3.2).

sim(i, j) = sum over common users u of (1/n_i)^alpha (1/|I_u|)^alpha, divided by n_j^beta; the first step
from the user is the same for all her candidates and left out.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..corpus import Corpus
from .cooccurrence import CooccurrenceScorer, history_sizes, item_counts, weigh_users


@dataclass(frozen=True)
class RP3Beta:
    alpha: float = 0.8
    """power of the transition probabilities"""
    beta: float = 0.4
    """power of the candidate's popularity that divides its score"""
    name: ClassVar[str] = "rp3beta"

    def fit(self, corpus: Corpus, seed: int = 0) -> CooccurrenceScorer:
        sizes = np.maximum(history_sizes(corpus.binary), 1).astype(np.float64)
        count = np.maximum(item_counts(corpus.binary), 1).astype(np.float64)
        left = weigh_users(corpus.binary, sizes**-self.alpha)
        leave = (count**-self.alpha).astype(np.float32)
        damp = (count**-self.beta).astype(np.float32)

        def similarity(common: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
            walk: np.ndarray = common * leave[i] * damp[j]
            return walk

        return CooccurrenceScorer(left, corpus.binary, similarity)
