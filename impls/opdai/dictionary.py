"""ItemCF-IUF as competition code writes it: dictionaries of pairs in plain Python. The strawman of speed."""

from __future__ import annotations

from collections import defaultdict
from math import log, sqrt

import numpy as np

from .corpus import Corpus


def itemcf_iuf(corpus: Corpus, users: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Scores float32 [U, C] of target users (str [U]) for candidates (str [U, C]); OPDAI's `icf_v2`."""
    histories: dict[int, list[int]] = defaultdict(list)
    rows, columns = corpus.ratings.nonzero()
    for user, item in zip(rows.tolist(), columns.tolist(), strict=True):
        histories[user].append(item)
    counts: dict[int, int] = defaultdict(int)
    common: dict[int, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for items in histories.values():
        weight = 1 / log(1 + len(items))
        for i in items:
            counts[i] += 1
            for j in items:
                if i != j:
                    common[i][j] += weight
    scores = np.zeros(candidates.shape, dtype=np.float32)
    for u, (user, listed) in enumerate(
        zip(corpus.rows(users).tolist(), corpus.columns(candidates).tolist(), strict=True)
    ):
        for c, candidate in enumerate(listed):
            for item in histories.get(user, ()):
                if candidate in common[item]:
                    scores[u, c] += common[item][candidate] / sqrt(counts[item] * counts[candidate])
    return scores
