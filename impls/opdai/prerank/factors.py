"""Scores as dot products of user and item vectors: what LightGCN, ALS and GMF share."""

import numpy as np

_USERS_AT_ONCE = 2048


class FactorScorer:
    """score(u, c) = users[u] . items[c].

    user_factors  float32 [users, d]; a zero row scores 0 everywhere
    item_factors  float32 [items, d]
    """

    def __init__(self, user_factors: np.ndarray, item_factors: np.ndarray) -> None:
        self.user_factors = user_factors
        self.item_factors = item_factors

    def score(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Scorer.score`."""
        scores = np.zeros(candidates.shape, np.float32)
        for first in range(0, len(users), _USERS_AT_ONCE):
            part = slice(first, first + _USERS_AT_ONCE)
            cols, col_of = np.unique(np.maximum(candidates[part], 0), return_inverse=True)
            products = self.user_factors[users[part]] @ self.item_factors[cols].T
            scores[part] = np.take_along_axis(products, col_of.reshape(candidates[part].shape), axis=1)
        scores[candidates < 0] = 0
        scores[users < 0] = 0
        return scores
