"""A fitted cascade: requests → ranked items, and what a request costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remeasure.datasets.common.interactions import Rows
from remeasure.errors import UserError

from ..scoring import best, events
from .config import Cascade
from .features import Counts, features, macs
from .inputs import History, Reading
from .prerank import TreesModel
from .rank import DinModel
from .towers import TowersModel

BATCH = 128
"""Requests served at a time: features are float32 [128, retrieved, F]."""


@dataclass(frozen=True)
class Cost:
    """Multiplications of a request by stage; every item that a stage scores is charged."""

    retrieval: float
    prerank: float = 0.0
    rank: float = 0.0

    @property
    def total(self) -> float:
        return self.retrieval + self.prerank + self.rank


@dataclass(frozen=True, eq=False)
class CascadeModel:
    """All stages up to the last one that is run."""

    config: Cascade
    reading: Reading
    log_worth: np.ndarray
    """float32 [N], log of the value known at serving; 0 where there is none."""
    counts: Counts
    towers: TowersModel
    trees: TreesModel | None = None
    din: DinModel | None = None

    def top(self, rows: Rows, k: int, exclude_seen: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of every row, int64 [R, k], and scores, float32 [R, k]: log p or log odds of the last stage,
        plus log of the value known at serving. Scores of a row can be compared with each other and not with another
        row's.

        `exclude_seen` leaves out what stands anywhere in the history. Where fewer than k items are left, -1 with score
        -inf. Raises UserError where the last stage scores fewer than k items.
        """
        most = len(self.log_worth)
        scored = {"retrieval": most, "pre-rank": self.config.retrieved, "rank": self.config.kept}
        if min(k, most) > scored[self.config.until]:
            raise UserError(
                f"{k} items are asked for and the {self.config.until} stage scores {scored[self.config.until]}; "
                f"let at least {k} reach it."
            )
        lists = np.full((len(rows), k), -1, dtype=np.int64)
        values = np.full((len(rows), k), -np.inf, dtype=np.float32)
        for start in range(0, len(rows), BATCH):
            batch = rows.select(np.arange(start, min(start + BATCH, len(rows))))
            item, value = self._top(batch, k, exclude_seen)
            lists[start : start + BATCH, : item.shape[1]] = item
            values[start : start + BATCH, : item.shape[1]] = value
        return lists, values

    def macs(self, rows: Rows) -> Cost:
        """What a request costs, the mean over rows served in one batch. Items' own vectors are there before."""
        history = History.of(self.reading(rows))
        retrieval = self.towers.macs(history)
        if self.trees is None:
            return Cost(retrieval)
        item, log_p = retrieve(self.towers, history, self.log_worth, self.config.retrieved)
        prerank = item.shape[1] * (self.trees.macs() + macs(self.reading.catalogue, history.item.shape[1]))
        if self.din is None:
            return Cost(retrieval, prerank)
        item, log_odds = self._preranked(rows, history, item, log_p)
        return Cost(retrieval, prerank, self.din.macs(history, np.maximum(item, 0), log_odds))

    def _top(self, rows: Rows, k: int, exclude_seen: bool) -> tuple[np.ndarray, np.ndarray]:
        history, seen = History.of(self.reading(rows)), None
        if exclude_seen:
            row, place = events(rows)
            seen = row, rows.log.item[place]
        many = self.config.retrieved if self.trees else k
        item, value = retrieve(self.towers, history, self.log_worth, many, seen)
        if self.trees:
            item, value = self._preranked(rows, history, item, value)
        if self.din:
            value = self.din.log_odds(history, np.maximum(item, 0), value)
        score = np.where(item < 0, -np.inf, value + self.log_worth[item])
        order = np.argsort(-score, axis=1, kind="stable")[:, :k]
        return np.take_along_axis(item, order, axis=1), np.take_along_axis(score, order, axis=1)

    def _preranked(
        self, rows: Rows, history: History, item: np.ndarray, log_p: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of the retrieved, those that the trees leave, and their log odds."""
        assert self.trees is not None
        place = np.broadcast_to(np.arange(item.shape[1]), item.shape)
        asked = np.maximum(item, 0), np.where(item < 0, 0, log_p), place
        log_odds = self.trees.log_odds(features(rows, history, self.reading, self.counts, *asked))
        many = self.config.kept if self.din else item.shape[1]
        return leave(item, log_odds, self.log_worth, many)


def retrieve(
    towers: TowersModel,
    history: History,
    log_worth: np.ndarray,
    many: int,
    seen: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The best of all items by log p + log worth, without what was seen (requests and items), best first: items int64
    [R, many], -1 where none is left, and log p float32 [R, many]."""
    log_p = towers.log_p(history)
    score = log_p + log_worth
    if seen is not None:
        score[seen] = -np.inf
    item, _ = best(score, many)
    return item, np.take_along_axis(log_p, item, axis=1)


def leave(
    item: np.ndarray, value: np.ndarray, log_worth: np.ndarray, many: int
) -> tuple[np.ndarray, np.ndarray]:
    """The best of candidates int64 [R, C] by value + log worth, best first, and their values [R, many]."""
    score = np.where(item < 0, -np.inf, value + log_worth[item])
    order = np.argsort(-score, axis=1, kind="stable")[:, :many]
    return np.take_along_axis(item, order, axis=1), np.take_along_axis(value, order, axis=1)
