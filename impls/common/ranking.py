"""Ranking metrics for one relevant item a list, equal to trec_eval's.

trec_eval reads scores as 32-bit floats and orders by score, then by document id, both descending. Counting
the items ahead of the positive needs no sort.
"""

import numpy as np


def ranks(scores: np.ndarray, positive_column: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """1-based rank of the positive in each list, int32 [U].

    scores            float [U, C]; padded candidates (id "") are never ahead, whatever their score
    positive_column   int [U], where in the list the positive is
    ids               str [U, C], which break ties

    Raises ValueError for NaN scores and for shapes that do not fit.
    """
    scores = np.asarray(scores, dtype=np.float32)
    users = np.arange(len(scores))
    if scores.ndim != 2 or ids.shape != scores.shape or positive_column.shape != users.shape:
        raise ValueError(
            f"shapes do not fit: scores {scores.shape}, ids {ids.shape}, {positive_column.shape}"
        )
    if np.isnan(scores).any():
        raise ValueError(f"scores hold NaN, first in list {int(np.isnan(scores).any(axis=1).argmax())}")
    own = scores[users, positive_column]
    ahead = scores > own[:, None]
    tied = np.nonzero(scores == own[:, None])
    ahead[tied] = ids[tied] > ids[users, positive_column][tied[0]]
    return np.asarray(1 + (ahead & (ids != "")).sum(axis=1), dtype=np.int32)


def ndcg_at(ranks: np.ndarray, k: int = 10) -> np.ndarray:
    """NDCG@k of each list, float64 [U]: 1 / log2(rank + 1) within the first k, else 0."""
    return np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)


def recall_at(ranks: np.ndarray, k: int = 10) -> np.ndarray:
    """Recall@k (here the hit rate) of each list, float64 [U]."""
    return (ranks <= k).astype(np.float64)


def reciprocal_rank(ranks: np.ndarray) -> np.ndarray:
    """1 / rank of each list, float64 [U]."""
    return 1.0 / np.asarray(ranks, dtype=np.float64)
