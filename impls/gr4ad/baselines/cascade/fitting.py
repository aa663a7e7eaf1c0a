"""How a cascade is learned: each stage from what earlier ones, which never saw that user, would leave it.

Histories whose target an earlier stage loses teach later ones nothing: put back, they would be told by their scores.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from remeasure.datasets.common.interactions import Items, Log, Rows, training_rows
from remeasure.errors import UserError

from ..popularity import recency
from . import prerank, rank, towers
from .config import Cascade
from .features import NAMES, Counts, features
from .inputs import History, Reading, catalogue
from .model import BATCH, CascadeModel, leave, retrieve
from .towers import Pairs


def fit(
    log: Log,
    items: Items,
    vectors: np.ndarray,
    config: Cascade,
    generator: np.random.Generator,
    worth: np.ndarray | None = None,
) -> CascadeModel:
    """A cascade from a split's training part alone, with content vectors float [N, c]; all draws are the generator's.

    worth   float64 [N], at least 0, the items' value as known at serving (bid · pCVR, or a price): every stage orders
            by log p + log worth; none is learned from it

    Raises UserError where nobody has two baskets, for fewer users than folds, and where no target is retrieved.
    """
    rows = training_rows(log)
    users = np.unique(rows.user)
    if not len(rows):
        raise UserError(
            "nobody has two baskets before the split; the cascade needs some to learn what comes next."
        )
    reading = Reading.of(rows, catalogue(items, vectors), config.size)
    log_worth = np.zeros(len(items)) if worth is None else np.log(np.asarray(worth) + 1e-9)
    requests = reading(rows)
    weight = recency(rows.time, rows.time.max(), config.half_life)
    pairs = Pairs(
        requests,
        torch.from_numpy(rows.row()),
        torch.from_numpy(rows.item),
        torch.from_numpy((weight / np.diff(rows.offsets))[rows.row()]).float(),
    )
    served = CascadeModel(
        config,
        reading,
        log_worth.astype(np.float32),
        Counts.of(log, len(items), config.half_life),
        towers.fit(pairs, config.towers, generator),
    )
    if config.until == "retrieval":
        return served
    if not 2 <= config.folds <= len(users):
        raise UserError(f"{config.folds} folds of {len(users)} users; choose 2 to {len(users)}.")
    fold = np.zeros(log.users, dtype=np.int64)
    fold[users] = generator.permutation(len(users)) % config.folds
    return _Later(served, log, rows, pairs, weight, fold, generator).fitted()


@dataclass(frozen=True, eq=False)
class _Later:
    """Trees and ranker, in the making."""

    served: CascadeModel
    log: Log
    rows: Rows
    pairs: Pairs
    weight: np.ndarray
    """float64 [R]."""
    fold: np.ndarray
    """int64 [U]."""
    generator: np.random.Generator

    def fitted(self) -> CascadeModel:
        config, generator = self.served.config, self.generator
        many = min(config.rows or len(self.rows), len(self.rows))
        chosen = np.sort(generator.permutation(len(self.rows))[:many])
        item, log_p, counts = self._retrieved(chosen)
        share = _followed(self.rows.select(chosen), item)
        useful = share.any(axis=1)
        if len(np.unique(self.fold[self.rows.user[chosen[useful]]])) < 2:
            raise UserError("the towers retrieve next to no target of training; let them leave more items.")
        chosen, item, log_p, share = chosen[useful], item[useful], log_p[useful], share[useful]
        fold, weight = self.fold[self.rows.user[chosen]], self.weight[chosen]
        place = _some(share, config.trees.list, generator)
        listed, listed_log_p, label = (
            np.take_along_axis(each, place, 1) for each in (item, log_p, share > 0)
        )
        seen = self._features(chosen, fold, counts, listed, listed_log_p, place)
        seed = int(generator.integers(2**31))
        trees = prerank.fit(seen, label, weight, config.trees, seed)
        served = replace(self.served, trees=trees)
        if config.until == "pre-rank":
            return served
        log_odds = np.empty_like(log_p)
        for held in range(config.folds):
            some, rest = np.flatnonzero(fold == held), fold != held
            blind = prerank.fit(seen[rest], label[rest], weight[rest], config.trees, seed)
            for batch in _pieces(some):
                every = np.broadcast_to(np.arange(item.shape[1]), (len(batch), item.shape[1]))
                asked = chosen[batch], fold[batch], counts, item[batch], log_p[batch], every
                log_odds[batch] = blind.log_odds(self._features(*asked))
        kept, odds = leave(item, log_odds, self.served.log_worth, config.kept)
        return replace(served, din=self._ranker(chosen, kept, odds))

    def _retrieved(self, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Counts]]:
        """Candidates and log p [Q, C] by towers that saw none of the user, and the counts of the same, one a fold."""
        config, count = self.served.config, len(self.served.log_worth)
        many = min(config.retrieved, count)
        item, log_p = np.empty((len(chosen), many), np.int64), np.empty((len(chosen), many), np.float32)
        counts, of_log, of_rows = [], self.fold[self.log.user()], self.fold[self.rows.user]
        for held in range(config.folds):
            part = self.log.where(of_log != held)
            counts.append(Counts.of(part, count, config.half_life, len(self.log) / len(part)))
            blind = towers.fit(
                self.pairs.where(torch.from_numpy(of_rows != held)), config.towers, self.generator
            )
            some = np.flatnonzero(of_rows[chosen] == held)
            for batch in _pieces(some):
                history = self._history(chosen[batch])
                item[batch], log_p[batch] = retrieve(blind, history, self.served.log_worth, many)
        return item, log_p, counts

    def _features(
        self,
        chosen: np.ndarray,
        fold: np.ndarray,
        counts: list[Counts],
        item: np.ndarray,
        log_p: np.ndarray,
        place: np.ndarray,
    ) -> np.ndarray:
        """Features [Q, n, F] of candidates, each row's with the counts of its fold."""
        found = np.empty((*item.shape, len(NAMES)), np.float32)
        for held in range(len(counts)):
            for some in _pieces(np.flatnonzero(fold == held)):
                asked = item[some], log_p[some], place[some]
                rows = self.rows.select(chosen[some])
                found[some] = features(
                    rows, self._history(chosen[some]), self.served.reading, counts[held], *asked
                )
        return found

    def _history(self, rows: np.ndarray) -> History:
        return History.of(self.pairs.requests, torch.from_numpy(rows))

    def _ranker(self, chosen: np.ndarray, kept: np.ndarray, odds: np.ndarray) -> rank.DinModel:
        config = self.served.config
        share = _followed(self.rows.select(chosen), kept)
        useful = share.any(axis=1)
        if not useful.any():
            raise UserError("the trees leave no target of training; let them leave more items.")
        chosen, kept, odds, share = chosen[useful], kept[useful], odds[useful], share[useful]
        place = _some(share, config.din.list, self.generator)
        item, odds, share = (np.take_along_axis(array, place, axis=1) for array in (kept, odds, share))
        lists = rank.Lists(
            self.pairs.requests,
            torch.from_numpy(chosen),
            torch.from_numpy(item),
            torch.from_numpy(odds),
            torch.from_numpy(share / share.sum(axis=1, keepdims=True)),
            torch.from_numpy(self.weight[chosen]).float(),
        )
        return rank.fit(lists, config.din, self.generator)


def _pieces(rows: np.ndarray) -> list[np.ndarray]:
    return [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]


def _followed(rows: Rows, item: np.ndarray) -> np.ndarray:
    """float32 [R, C]: 1 where the candidate is one of the row's targets."""
    span = int(item.max()) + 1 + int(rows.item.max())
    targets = rows.row() * span + rows.item
    return np.isin(np.arange(len(rows))[:, None] * span + item, targets).astype(np.float32)


def _some(share: np.ndarray, many: int, generator: np.random.Generator) -> np.ndarray:
    """int64 [Q, n], places of all that followed, as far as there is room, and of others drawn evenly."""
    order = np.argsort(generator.random(share.shape) - (share > 0), axis=1)
    return order[:, :many]
