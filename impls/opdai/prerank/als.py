"""Implicit-feedback ALS (weighted matrix factorisation), a rival's choice, spec section 3.2.

Minimises sum over all (u, i) of c_ui (x_ui - p_u . q_i)^2 + l2 |.|^2 with c = 1 + alpha on interactions, 1
elsewhere. A row's normal equations are (G + alpha V'V) p = (1 + alpha) V'1 with G = Q'Q + l2 I and V the
vectors of its history. With G^-1 = LL' the push-through identity turns them into a system of the history's
size, p = (1 + alpha) L (V L)' (I + alpha (V L)(V L)')^-1 1, and rows of one length are solved together.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from ..corpus import Corpus
from .cooccurrence import history_sizes
from .factors import FactorScorer

_NUMBERS_AT_ONCE = 8_000_000


@dataclass(frozen=True)
class ALS:
    dimensions: int = 64
    """length of a vector"""
    iterations: int = 15
    """alternations"""
    l2: float = 0.05
    """ridge penalty"""
    alpha: float = 10.0
    """confidence of an interaction above 1"""
    name: ClassVar[str] = "als"

    def fit(self, corpus: Corpus, seed: int = 0) -> FactorScorer:
        by_user = corpus.binary
        by_item = by_user.T.tocsr()
        rng = np.random.default_rng(seed)
        items = 0.1 * rng.standard_normal((by_user.shape[1], self.dimensions))
        for _ in range(self.iterations):
            users = self._solve(by_user, items)
            items = self._solve(by_item, users)
        return FactorScorer(self._solve(by_user, items).astype(np.float32), items.astype(np.float32))

    def _solve(self, matrix: sparse.csr_array, other: np.ndarray) -> np.ndarray:
        """Vectors of the rows given those of the columns; float64 [rows, dimensions]."""
        gram = other.T @ other + self.l2 * np.eye(self.dimensions)
        root = np.linalg.cholesky(np.linalg.inv(gram))
        rotated = other @ root
        solved = np.zeros((matrix.shape[0], self.dimensions))
        sizes = history_sizes(matrix)
        for size in np.unique(sizes[sizes > 0]):
            rows = np.flatnonzero(sizes == size)
            share = max(1, _NUMBERS_AT_ONCE // int(size * max(size, self.dimensions)))
            for part in np.split(rows, range(share, len(rows), share)):
                history = matrix.indices[matrix.indptr[part][:, None] + np.arange(size)]
                solved[part] = self._solve_equal_sizes(rotated[history])
        return solved @ root.T

    def _solve_equal_sizes(self, history: np.ndarray) -> np.ndarray:
        """Rotated solutions [n, d] of histories [n, size, d], by the smaller of the two systems."""
        _, size, dimensions = history.shape
        transposed = history.transpose(0, 2, 1)
        if size < dimensions:
            system = np.eye(size) + self.alpha * (history @ transposed)
            weights = np.linalg.solve(system, np.ones((len(history), size, 1)))
            return (1 + self.alpha) * (transposed @ weights)[:, :, 0]
        system = np.eye(dimensions) + self.alpha * (transposed @ history)
        return (1 + self.alpha) * np.linalg.solve(system, history.sum(axis=1)[:, :, None])[:, :, 0]
