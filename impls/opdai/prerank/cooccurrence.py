"""Similarities that are a function of weighted co-occurrence: what ItemCF, UserCF, LLR, RP3 share.

c(i, j) = sum over users u of left(u, i) * right(u, j), made for one block of items at a time by a sparse
product, then turned into a similarity for the pairs that have a common user at all.
"""

from collections.abc import Callable

import numpy as np
from scipy import sparse

from .similarity import Reduction, SimilarityScorer

PairFunction = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(c float32 [K], history items [K], candidates [K]) -> similarity [K]"""


class CooccurrenceScorer(SimilarityScorer):
    """Lazy similarity from co-occurrence.

    left        CSR [users, items], history side, any user weight already inside
    right       CSR [users, items], candidate side
    similarity  of the pairs with a common user; all other pairs are 0
    keep_self   leave sim(i, i) as computed; else it is 0
    """

    def __init__(
        self,
        left: sparse.csr_array,
        right: sparse.csr_array,
        similarity: PairFunction,
        reduction: Reduction = "sum",
        keep_self: bool = False,
    ) -> None:
        super().__init__(right, reduction)
        self._left = left.tocsc()
        self._right = right
        self._similarity = similarity
        self._keep_self = keep_self

    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        common = self._left[:, rows].T.tocsr() @ self._right[:, cols]
        row = np.repeat(np.arange(len(rows)), np.diff(common.indptr))
        history, candidate = rows[row], cols[common.indices]
        values = self._similarity(common.data, history, candidate)
        if not self._keep_self:
            values[history == candidate] = 0
        dense = np.zeros((len(rows), len(cols)), np.float32)
        dense[row, common.indices] = values
        return dense


def weigh_users(matrix: sparse.csr_array, weights: np.ndarray) -> sparse.csr_array:
    """The matrix with row u times weights[u], float32."""
    data = matrix.data * np.repeat(weights.astype(np.float32), np.diff(matrix.indptr))
    return sparse.csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def history_sizes(matrix: sparse.csr_array) -> np.ndarray:
    """|I_u| of every row, int64 [users]."""
    sizes: np.ndarray = np.diff(matrix.indptr).astype(np.int64)
    return sizes


def item_counts(matrix: sparse.csr_array) -> np.ndarray:
    """n_i of every column, int64 [items]."""
    counts: np.ndarray = np.bincount(matrix.indices, minlength=matrix.shape[1])
    return counts
