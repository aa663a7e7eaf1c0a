"""What baselines share: lists of the best from scores of all items, and histories as weights of items."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from scipy import sparse

from remeasure.datasets.common.interactions import Rows

BATCH = 256
"""Rows scored at a time: scores of all items are float32 [256, N]."""


class Scorer(ABC):
    """A fitted baseline: it scores every item for every row."""

    @abstractmethod
    def scores(self, rows: Rows) -> np.ndarray:
        """float32 [R, N], the higher the better, none NaN."""

    def top(self, rows: Rows, k: int, exclude_seen: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of every row, int64 [R, k], and their scores, float32 [R, k].

        `exclude_seen` leaves out what stands anywhere in the history. Equal scores are in the order of the items.
        Where fewer than k items are left, -1 with score -inf.
        """
        lists = np.full((len(rows), k), -1, dtype=np.int64)
        values = np.full((len(rows), k), -np.inf, dtype=np.float32)
        for start in range(0, len(rows), BATCH):
            batch = rows.select(np.arange(start, min(start + BATCH, len(rows))))
            scores = self.scores(batch)
            if exclude_seen:
                row, place = events(batch)
                scores[row, batch.log.item[place]] = -np.inf
            item, value = best(scores, k)
            lists[start : start + BATCH, : item.shape[1]] = item
            values[start : start + BATCH, : item.shape[1]] = value
        return lists, values


def best(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The columns of the min(k, N) greatest scores, best first, equal ones by column, int64; and the scores.

    scores   float [R, N]; what is -inf is no candidate: -1 stands in its place
    """
    rows, columns = scores.shape
    k = min(k, columns)
    least = np.partition(scores, columns - k, axis=1)[:, columns - k, None]
    chosen, tied = scores > least, scores == least
    wanted = k - chosen.sum(axis=1)
    row, column = np.nonzero(tied)
    nth = np.arange(len(row)) - np.searchsorted(row, np.arange(rows))[row]
    first = nth < wanted[row]
    chosen[row[first], column[first]] = True
    item = np.nonzero(chosen)[1].reshape(rows, k)
    value = np.take_along_axis(scores, item, axis=1)
    order = np.argsort(-value, axis=1, kind="stable")
    item, value = np.take_along_axis(item, order, axis=1), np.take_along_axis(value, order, axis=1)
    return np.where(np.isneginf(value), -1, item), value


def events(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Every event of every history: whose row it is and its place in the log, int64 [sum of lengths] each."""
    return runs(rows.start, rows.end)


def runs(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all [begin, end), one run after the other: which run it is, and the number; both int64."""
    counts = end - begin
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) + np.repeat(begin - (np.cumsum(counts) - counts), counts)


def weights(rows: Rows, size: int | None, decay: float, items: int) -> sparse.csr_array:
    """float32 [R, N]: the last `size` events (None: all) add decay ** n to their item, n baskets before the last."""
    start = rows.start if size is None else np.maximum(rows.start, rows.end - size)
    recent = Rows(rows.log, rows.user, start, rows.end, rows.time, rows.offsets, rows.item, rows.value)
    row, place = events(recent)
    basket = rows.log.basket[place]
    # Baskets are numbered across the whole log, and numbers may be left out: count the changes instead.
    changes = np.cumsum(np.diff(basket, prepend=basket[:1]) != 0)
    last = changes[np.cumsum(rows.end - start) - 1]
    weight = np.power(decay, last[row] - changes, dtype=np.float32)
    return sparse.csr_array((weight, (row, rows.log.item[place])), shape=(len(rows), items))
