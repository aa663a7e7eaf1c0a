"""Small corpora for the pre-ranker tests."""

import hashlib

import numpy as np
from scipy import sparse

from remeasure.impls.opdai.corpus import Corpus


def dense_corpus(ratings: np.ndarray, target: np.ndarray | None = None) -> Corpus:
    """A corpus of a dense [users, items] array (0 = no interaction); every user is a target by default."""
    users, items = ratings.shape
    target = np.ones(users, bool) if target is None else target
    market = np.where(target, "t", "s")
    matrix = sparse.csr_array(ratings.astype(np.float32))
    matrix.sort_indices()
    return Corpus(
        ratings=matrix,
        users=np.array([f"{m}\t{u:04d}" for u, m in enumerate(market)]),
        items=np.array([f"P{i:04d}" for i in range(items)]),
        target_rows=target,
        fingerprint=hashlib.sha256(ratings.tobytes() + target.tobytes()).hexdigest(),
    )


def random_ratings(users: int = 30, items: int = 20, share: float = 0.25, seed: int = 0) -> np.ndarray:
    """Ratings 1 to 5, float32 [users, items]; the last user and the last item have none."""
    rng = np.random.default_rng(seed)
    ratings = rng.integers(1, 6, (users, items)) * (rng.random((users, items)) < share)
    ratings[:, -1] = 0
    ratings[-1] = 0
    return ratings.astype(np.float32)


def every_pair(corpus: Corpus) -> tuple[np.ndarray, np.ndarray]:
    """All users, and all items as candidates of each: int32 [U] and [U, I]."""
    users, items = corpus.ratings.shape
    return np.arange(users, dtype=np.int32), np.tile(np.arange(items, dtype=np.int32), (users, 1))
