"""EASE^R: the best linear item-item model in closed form (a rival's choice, spec section 3.2).

B = I - P / diag(P), P = (X'X + l2 I)^-1; score = X_u B. The inverse is cubic in the number of items, so
the model is fitted on a catalogue, not on every item of the corpus: by default on the items that users of
the target market have (`corpus.target_rows`), with the interactions of all users of the corpus. Items
outside it score 0.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from scipy import linalg, sparse

from ..corpus import Corpus
from .cooccurrence import item_counts
from .similarity import SimilarityScorer, without_self


@dataclass(frozen=True)
class Ease:
    l2: float = 200.0
    """ridge penalty"""
    catalogue: Literal["target", "all"] = "target"
    """fit on the target market's items, or on every item of the corpus (cubic)"""
    name: ClassVar[str] = "ease"

    def fit(self, corpus: Corpus, seed: int = 0) -> "EaseScorer":
        rows = corpus.binary[corpus.target_rows] if self.catalogue == "target" else corpus.binary
        items = np.flatnonzero(item_counts(rows))
        columns = corpus.binary[:, items]
        gram = (columns.T @ columns).toarray()
        gram[np.diag_indices_from(gram)] += np.float32(self.l2)
        return EaseScorer(corpus.binary, items, _inverse(gram))


class EaseScorer(SimilarityScorer):
    """The part of B that is asked for, from P; items are the fitted columns, sorted."""

    def __init__(self, history: sparse.csr_array, items: np.ndarray, inverse: np.ndarray) -> None:
        super().__init__(history)
        self._place = np.full(history.shape[1], -1)
        self._place[items] = np.arange(len(items))
        self._inverse = inverse

    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        dense = np.zeros((len(rows), len(cols)), np.float32)
        row, col = np.flatnonzero(self._place[rows] >= 0), np.flatnonzero(self._place[cols] >= 0)
        i, j = self._place[rows[row]], self._place[cols[col]]
        dense[np.ix_(row, col)] = -self._inverse[np.ix_(i, j)] / self._inverse[j, j]
        return without_self(dense, rows, cols)


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Inverse of a positive definite matrix by Cholesky, float32, in place."""
    if not len(matrix):
        return matrix
    factor, info = linalg.lapack.spotrf(matrix.T, lower=0, overwrite_a=1)
    if info == 0:
        factor, info = linalg.lapack.spotri(factor, lower=0, overwrite_c=1)
    if info:
        raise linalg.LinAlgError(f"EASE: the Gram matrix is singular (LAPACK info {info}); raise l2")
    # LAPACK gives the upper triangle in Fortran's order; the transpose of what is symmetric is the same in C's.
    return _mirrored(factor).T


def _mirrored(upper: np.ndarray, step: int = 1024) -> np.ndarray:
    """The symmetric matrix of an upper triangle, in place: whole copies would triple the memory of a large one."""
    for start in range(0, len(upper), step):
        end = start + step
        upper[end:, start:end] = upper[start:end, end:].T
        corner = np.triu(upper[start:end, start:end])
        upper[start:end, start:end] = corner + np.triu(corner, 1).T
    return upper
