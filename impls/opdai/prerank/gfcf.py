"""GF-CF: graph filtering without training (a rival's choice, spec section 3.2).

R = D_u^-1/2 X D_i^-1/2 with right singular vectors V (the k largest); the filter is the linear one plus an
ideal low pass, sim(i, j) = (R'R)_ij + weight * n_i^-1/2 (V V')_ij n_j^1/2, score = X_u sim.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from ..corpus import Corpus
from .cooccurrence import CooccurrenceScorer, history_sizes, item_counts, weigh_users


@dataclass(frozen=True)
class GFCF:
    rank: int = 256
    """k, the frequencies that the low pass lets through"""
    weight: float = 0.3
    """of the low pass beside the linear filter"""
    name: ClassVar[str] = "gfcf"

    def fit(self, corpus: Corpus, seed: int = 0) -> "GFCFScorer":
        sizes = np.maximum(history_sizes(corpus.binary), 1).astype(np.float64)
        count = np.maximum(item_counts(corpus.binary), 1).astype(np.float64)
        root = np.sqrt(count).astype(np.float32)
        normalised = weigh_users(corpus.binary, 1 / np.sqrt(sizes))
        normalised.data = normalised.data / root[normalised.indices]
        vectors = _right_singular_vectors(normalised, self.rank, seed)
        return GFCFScorer(corpus.binary, normalised, vectors, root, self.weight)


class GFCFScorer(CooccurrenceScorer):
    """R'R lazily, plus the low pass from its vectors, float32 [items, k]."""

    def __init__(
        self,
        history: sparse.csr_array,
        normalised: sparse.csr_array,
        vectors: np.ndarray,
        root: np.ndarray,
        weight: float,
    ) -> None:
        super().__init__(normalised, normalised, lambda common, i, j: common, keep_self=True)
        self._left_vectors = weight * vectors / root[:, None]
        self._right_vectors = vectors * root[:, None]

    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        smooth: np.ndarray = self._left_vectors[rows] @ self._right_vectors[cols].T
        smooth += super().block(rows, cols)
        return smooth


def _right_singular_vectors(matrix: sparse.csr_array, rank: int, seed: int) -> np.ndarray:
    """The right singular vectors of the `rank` largest singular values, float32 [columns, rank].

    Lanczos on the Gram operator in float32 to a relative 1e-4: half the memory traffic and half the
    restarts of double precision, the same ranking.
    """
    transposed = matrix.T.tocsr()
    items = matrix.shape[1]
    if rank >= items - 1:
        _, every = np.linalg.eigh((transposed @ matrix).toarray())
        return np.asarray(every[:, -rank:], np.float32)
    gram = LinearOperator((items, items), matvec=lambda x: transposed @ (matrix @ x), dtype=np.float32)
    start = np.random.default_rng(seed).standard_normal(items).astype(np.float32)
    _, vectors = eigsh(gram, k=rank, v0=start, tol=1e-4)
    return np.asarray(vectors)
