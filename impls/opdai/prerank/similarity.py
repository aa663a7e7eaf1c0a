"""Item similarity models: the score of a candidate is a reduction over the similarities to the history.

Only the block (history items of the asked users) x (distinct candidates) is ever materialised.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

Reduction = Literal["sum", "mean", "root", "max"]
"""sum; mean = sum / |history|; root = sum / sqrt(|history|); max"""

STATISTICS = ("max", "second", "mean", "std", "nonzero")

_PAIRS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class _Chunk:
    """Similarities of some users' (history item, candidate) pairs, users' histories one after another."""

    users: np.ndarray  # positions in the asked users, [n]
    starts: np.ndarray  # first row of each user in values, [n]
    lengths: np.ndarray  # history lengths, [n], all > 0
    values: np.ndarray  # float32 [sum(lengths), C]


class SimilarityScorer(ABC):
    """Scores from one similarity a model, sim(history item, candidate).

    history    CSR [users, items]; only the pattern is read
    reduction  how the similarities of one user's history become a score
    """

    def __init__(self, history: sparse.csr_array, reduction: Reduction = "sum") -> None:
        self._indptr = history.indptr
        self._indices = history.indices
        self._reduction = reduction

    @abstractmethod
    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """sim(rows[r], cols[c]) as float32 [R, C]; rows and cols are sorted distinct corpus columns."""

    def score(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """See `Scorer.score`."""
        scores = np.zeros(candidates.shape, np.float32)
        for chunk in self._chunks(users, candidates):
            scores[chunk.users] = self._reduce(chunk)
        scores[candidates < 0] = 0
        return scores

    def sequence_statistics(self, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """`STATISTICS` of the similarity sequence over the user's history, float32 [U, C, 5].

        std is the population's; second is 0 for a history of one item; arguments as in `Scorer.score`.
        """
        statistics = np.zeros((*candidates.shape, len(STATISTICS)), np.float32)
        for chunk in self._chunks(users, candidates):
            statistics[chunk.users] = _statistics(chunk)
        statistics[candidates < 0] = 0
        return statistics

    def _reduce(self, chunk: _Chunk) -> np.ndarray:
        if self._reduction == "max":
            return np.maximum.reduceat(chunk.values, chunk.starts)
        total = np.add.reduceat(chunk.values, chunk.starts)
        if self._reduction == "mean":
            total /= chunk.lengths[:, None]
        elif self._reduction == "root":
            total /= np.sqrt(chunk.lengths, dtype=np.float32)[:, None]
        return total

    def _chunks(self, users: np.ndarray, candidates: np.ndarray) -> Iterator[_Chunk]:
        lengths = np.where(users < 0, 0, self._indptr[users + 1] - self._indptr[users]).astype(np.int64)
        asked = np.flatnonzero(lengths)
        if not len(asked) or not candidates.shape[1]:
            return
        lengths = lengths[asked]
        ends = np.cumsum(lengths)
        offsets = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        history = self._indices[np.repeat(self._indptr[users[asked]], lengths) + offsets]
        rows, row_of = np.unique(history, return_inverse=True)
        cols, col_of = np.unique(np.maximum(candidates[asked], 0), return_inverse=True)
        block = self.block(rows, cols).ravel()
        row_of = row_of * len(cols)
        col_of = col_of.reshape(len(asked), -1)

        pairs = ends * candidates.shape[1]
        first = 0
        while first < len(asked):
            before = ends[first] - lengths[first]
            budget = before * candidates.shape[1] + _PAIRS_AT_ONCE
            last = max(first + 1, int(np.searchsorted(pairs, budget, side="right")))
            part = slice(first, last)
            index = np.repeat(col_of[part], lengths[part], axis=0)
            index += row_of[before : ends[last - 1], None]
            yield _Chunk(
                users=asked[part],
                starts=ends[part] - lengths[part] - before,
                lengths=lengths[part],
                values=block[index],
            )
            first = last


def _statistics(chunk: _Chunk) -> np.ndarray:
    """`STATISTICS` of each user's rows of a chunk, float32 [n, C, 5]."""
    values, starts = chunk.values, chunk.starts
    owner = np.repeat(np.arange(len(starts)), chunk.lengths)
    lengths = chunk.lengths[:, None].astype(np.float32)
    largest = np.maximum.reduceat(values, starts)
    is_largest = values == largest[owner]
    rest = np.maximum.reduceat(np.where(is_largest, -np.inf, values), starts)
    second = np.where(np.add.reduceat(is_largest, starts, dtype=np.int32) > 1, largest, rest)
    second[chunk.lengths == 1] = 0
    mean = np.add.reduceat(values, starts) / lengths
    deviation = values - mean[owner]
    std = np.sqrt(np.add.reduceat(deviation * deviation, starts) / lengths)
    nonzero = np.add.reduceat(values != 0, starts, dtype=np.int32)
    return np.stack([largest, second, mean, std, nonzero], axis=-1).astype(np.float32)


class StoredSimilarity(SimilarityScorer):
    """A similarity that was computed once: sparse [items, items]."""

    def __init__(self, history: sparse.csr_array, similarity: sparse.csr_array) -> None:
        super().__init__(history)
        self._similarity = similarity

    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        dense: np.ndarray = self._similarity[rows][:, cols].toarray()
        return dense


class CosineSimilarity(SimilarityScorer):
    """Cosine of item vectors.

    vectors     float32 [items, d]; a zero row is an item without a vector, its cosines are 0
    neighbours  keep only each history item's nearest so many items of the whole catalogue (itself not
                counted), the rest is 0; None keeps all
    """

    def __init__(
        self,
        history: sparse.csr_array,
        vectors: np.ndarray,
        reduction: Reduction = "max",
        neighbours: int | None = None,
    ) -> None:
        super().__init__(history, reduction)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._unit = vectors / np.where(norms > 0, norms, 1).astype(np.float32)
        self._neighbours = neighbours

    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        if self._neighbours is None or self._neighbours + 1 >= len(self._unit):
            return without_self(self._unit[rows] @ self._unit[cols].T, rows, cols)
        cosine = self._unit[rows] @ self._unit.T
        keep = self._neighbours + 1
        nearest = np.partition(cosine, -keep, axis=1)[:, -keep]
        cosine = cosine[:, cols]
        cosine[cosine < nearest[:, None]] = 0
        return without_self(cosine, rows, cols)


def without_self(block: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    """The block with sim(i, i) = 0, in place."""
    _, row, col = np.intersect1d(rows, cols, assume_unique=True, return_indices=True)
    block[row, col] = 0
    return block
