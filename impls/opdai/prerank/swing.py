"""Swing: items tied by pairs of users who agree on little else (OPDAI "Swing"; authors' `swing`).

sim(i, j) = sum over ordered user pairs (u, v) that both have i and j of 1 / (alpha + |I_u & I_v|).

With Z[pair, item] = both have the item, and W the pairs' weights, the similarity is Z' W Z over the pairs
with at least two common items. Most of them have exactly two, and those need no list: if every pair had
two, the sum would be c_ij (c_ij - 1) / (alpha + 2). So only pairs with three or more are enumerated, with
the difference of their weight to 1 / (alpha + 2); and users with equal histories are one row with a
multiplicity. Both are exact; on five markets the second leaves 39 % of the products of X X'.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import sparse

from ..corpus import Corpus
from .cooccurrence import history_sizes, item_counts
from .similarity import StoredSimilarity

_PRODUCTS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Swing:
    alpha: float = 1.0
    """added to the number of common items; the authors use 0.01"""
    name: ClassVar[str] = "swing"

    def fit(self, corpus: Corpus, seed: int = 0) -> StoredSimilarity:
        binary = corpus.binary
        similarity = (binary.T @ binary).astype(np.float64).tocsr()
        similarity.data *= (similarity.data - 1) / (self.alpha + 2)
        rows, times = _distinct_histories(binary[history_sizes(binary) >= 3], seed)
        for left, right, common in _pairs_with_three_items(rows):
            ordered = np.where(left == right, times[left] * (times[left] - 1), 2 * times[left] * times[right])
            excess = ordered * (1 / (self.alpha + common) - 1 / (self.alpha + 2))
            shared = rows[left].multiply(rows[right]).tocsr()
            weighted = shared.copy()
            weighted.data = np.repeat(excess, np.diff(shared.indptr))
            similarity = similarity + weighted.T.tocsr() @ shared
        similarity.setdiag(0)
        similarity.eliminate_zeros()
        return StoredSimilarity(binary, similarity.astype(np.float32))


def _distinct_histories(matrix: sparse.csr_array, seed: int) -> tuple[sparse.csr_array, np.ndarray]:
    """The distinct rows in their first order, and how many rows equal each; no row may be empty.

    Rows are compared by a 128-bit sum of random item codes: among 10^5 histories two different ones meet
    with a probability below 10^-28.
    """
    if not matrix.shape[0]:
        return matrix, np.zeros(0)
    code = np.random.default_rng(seed).integers(0, 2**64, (matrix.shape[1], 2), dtype=np.uint64)
    low, high = np.add.reduceat(code[matrix.indices], matrix.indptr[:-1]).T
    order = np.lexsort((low, high))
    low, high = low[order], high[order]
    starts = np.flatnonzero(np.r_[True, (low[1:] != low[:-1]) | (high[1:] != high[:-1])])
    first = order[starts]
    times = np.diff(np.r_[starts, len(order)])
    by_row = np.argsort(first)
    return matrix[first[by_row]], times[by_row].astype(np.float64)


def _pairs_with_three_items(
    rows: sparse.csr_array,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pairs left <= right of rows with three or more common items, and how many, a chunk at a time."""
    by_item = rows.T.tocsr()
    products = np.cumsum(rows @ item_counts(rows).astype(np.float64))
    first = 0
    while first < rows.shape[0]:
        budget = (products[first - 1] if first else 0) + _PRODUCTS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(products, budget, side="right")))
        common = rows[first:last] @ by_item[:, first:]
        pairs = np.flatnonzero(common.data >= 3)
        left = np.searchsorted(common.indptr, pairs, side="right") - 1
        right = common.indices[pairs]
        upper = right >= left
        yield left[upper] + first, right[upper] + first, common.data[pairs[upper]].astype(np.float64)
        first = last
