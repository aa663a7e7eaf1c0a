"""The neighbour rule: what followed the items of the history in training, and what reads like them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from remeasure.datasets.common.interactions import Items, Log, Rows

from .config import Neighbours
from .popularity import recency
from .scoring import Scorer, weights

WORD = re.compile(r"\w+")
"""Letters and digits that stand together, one alone too."""


@dataclass(frozen=True, eq=False)
class NeighboursModel(Scorer):
    """Scores are history × (transitions + text × cosine), where the cosine of an item with itself is left out."""

    config: Neighbours
    transitions: sparse.csr_array
    """float32 [N, N], from an item to those that followed it."""
    content: sparse.csr_array
    """float32 [N, words], rows of length 1, or of length 0 without content."""

    def scores(self, rows: Rows) -> np.ndarray:
        history = weights(rows, self.config.size, self.config.decay, self.content.shape[0])
        scores: np.ndarray = (history @ self.transitions).toarray()
        if self.config.text:
            alike = (history @ self.content) @ self.content.T
            own = history.multiply(_squares(self.content)[None, :])
            scores += np.float32(self.config.text) * (alike - own).toarray()
        return scores


def fit(log: Log, items: Items, config: Neighbours, generator: np.random.Generator) -> NeighboursModel:
    """Count transitions and weigh words; no randomness is used."""
    return NeighboursModel(config, transitions(log, len(items), config), content(items))


def transitions(log: Log, items: int, config: Neighbours) -> sparse.csr_array:
    """float32 [N, N]: sums over pairs of baskets of one user that are at most `reach` apart.

    With baskets as rows of a 0/1 matrix A [B, N] and the weight of basket b before basket c in L [B, B], it is AᵀLA.
    """
    starts = log.starts()
    baskets = len(starts) - 1
    index = np.repeat(np.arange(baskets), np.diff(starts))
    held = sparse.csr_array((np.ones(len(log), np.float32), (index, log.item)), shape=(baskets, items))
    user, time = log.user()[starts[:-1]], log.time[starts[:-1]]
    weight = recency(time, time.max(), config.half_life)
    first, second, amount = [], [], []
    for apart in range(1, config.reach + 1):
        begin = np.flatnonzero(user[apart:] == user[:-apart])
        first.append(begin)
        second.append(begin + apart)
        amount.append(weight[begin + apart] * config.reach_decay ** (apart - 1))
    pairs = sparse.csr_array(
        (np.concatenate(amount).astype(np.float32), (np.concatenate(first), np.concatenate(second))),
        shape=(baskets, baskets),
    )
    counts = held.T @ (pairs @ held)
    if config.back:
        counts = counts + config.back * counts.T
    if config.together:
        within = held.T @ (sparse.diags_array(weight.astype(np.float32)) @ held)
        counts = counts + config.together * (within - sparse.diags_array(within.diagonal()))
    taken = np.maximum(np.bincount(log.item, minlength=items), 1.0)
    share = np.power(taken, -config.evenly).astype(np.float32)
    return sparse.csr_array(sparse.diags_array(share) @ counts)


def content(items: Items) -> sparse.csr_array:
    """float32 [N, words]: TF-IDF of the texts' words, 1 + log of the count, each row of length 1.

    Where no item has a word, the content vectors that the data bring, or nothing where they bring none.
    """
    if any(WORD.search(text) for text in items.text):
        from sklearn.feature_extraction.text import TfidfVectorizer

        words = TfidfVectorizer(sublinear_tf=True, token_pattern=WORD.pattern, dtype=np.float32)
        return sparse.csr_array(words.fit_transform(items.text))
    if items.vectors is None:
        return sparse.csr_array(np.zeros((len(items), 1), np.float32))
    length = np.linalg.norm(items.vectors, axis=1, keepdims=True)
    return sparse.csr_array(items.vectors / np.maximum(length, 1e-30))


def _squares(matrix: sparse.csr_array) -> np.ndarray:
    """float32 [N], the squared length of every row."""
    return np.asarray(matrix.multiply(matrix).sum(axis=1), dtype=np.float32)
