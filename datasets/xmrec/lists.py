"""Candidate lists by the law found in the official ones (OPDAI specification §2.4).

A list is the user's positive and negatives drawn uniformly without replacement from the evaluation catalogue
(5-core items and positives) without the user's own history; the positive's place is uniform. Official lists
also avoid the hidden test positive, so redrawn ones are harder by about 0.005 NDCG@10.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from remeasure.errors import UserError

from .markets import CodedTable, Lists, Market

HISTORY = ("train", "train_5core")


class Users(NamedTuple):
    """Whose lists are drawn; the names serve error messages only."""

    market: str
    names: np.ndarray


class Pairs(NamedTuple):
    """(user row, item number) pairs, int64 [pairs] each."""

    rows: np.ndarray
    items: np.ndarray


def resample_lists(market: Market, seed: int, candidates: int = 100) -> Lists:
    """One list of `candidates` items for each user of `market.valid_qrel`, users sorted.

    The same tables and seed give the same bytes, in whatever order the rows are. Raises UserError where the
    market has no 5-core or no held-out items, or the catalogue is too small for a user.
    """
    if market.valid_qrel is None:
        raise UserError(
            f"market {market.name} has no valid_qrel.tsv, so no lists can be drawn; choose another target."
        )
    _five_core(market)
    coded = market.coded
    qrel = coded.tables["valid_qrel"]
    order = np.argsort(qrel.users)
    users, positives = qrel.users[order], qrel.items[order]
    rng = np.random.default_rng([seed, candidates])
    return _lists_from(rng, market, users, positives, candidates)


def holdout_lists(market: Market, seed: int, candidates: int = 100) -> tuple[Market, pd.DataFrame, Lists]:
    """Lists for choosing a configuration without touching the market's own labels.

    Each user with at least two distinct 5-core items gives one of them, drawn uniformly, as the positive; the
    pair leaves `train` and `train_5core`. The returned market has neither `valid_qrel` nor official lists.
    Returns (the reduced market, the held-out rows as a qrel, their lists), users sorted.
    """
    unlabelled = replace(market, valid_qrel=None, valid_run=None, test_run=None)
    coded, core = unlabelled.coded, _five_core(unlabelled)
    width = len(coded.items)
    # Distinct pairs sorted by user, so that neither row order nor duplicates sway the draw.
    pairs = np.unique(core.users * width + core.items)
    users, starts, counts = np.unique(pairs // width, return_index=True, return_counts=True)
    users, starts, counts = users[counts > 1], starts[counts > 1], counts[counts > 1]
    if not len(users):
        raise UserError(f"market {market.name} has no user with two 5-core items; nothing can be held out.")
    rng = np.random.default_rng([seed, candidates])
    chosen = pairs[starts + rng.integers(0, counts)]
    positives = chosen % width
    lists = _lists_from(rng, unlabelled, users, positives, candidates)

    def kept(name: str, table: pd.DataFrame | None) -> pd.DataFrame | None:
        if table is None:
            return None
        gone = np.isin(coded.tables[name].users * width + coded.tables[name].items, chosen)
        return table[~gone].reset_index(drop=True)

    reduced = replace(
        unlabelled, train=kept("train", market.train), train_5core=kept("train_5core", market.train_5core)
    )
    qrel = pd.DataFrame({"userId": lists.users, "itemId": coded.items[positives], "rating": 1.0})
    return reduced, qrel, lists


def draw_lists(
    rng: np.random.Generator,
    who: Users,
    catalogue: np.ndarray,
    history: Pairs,
    positives: np.ndarray,
    candidates: int,
) -> np.ndarray:
    """The law itself, on item numbers: int64 [U, candidates].

    catalogue   sorted distinct items, int64; holds every positive
    history     rows of `who.names` and items that these may not be shown, duplicates allowed
    positives   int64 [U]
    """
    width = len(catalogue)
    rows = np.concatenate([history.rows, np.arange(len(positives))])
    items = np.concatenate([history.items, positives])
    places = np.minimum(np.searchsorted(catalogue, items), width - 1)
    listed = catalogue[places] == items
    # (user, place) pairs a user may not be shown, as sorted keys; every user has one, the positive.
    excluded = np.unique(rows[listed] * width + places[listed])
    eligible = width - np.bincount(excluded // width, minlength=len(positives))
    if (eligible < candidates - 1).any():
        row = int((eligible < candidates - 1).argmax())
        raise UserError(
            f"market {who.market}: the catalogue of {width} items leaves {eligible[row]} negatives to user "
            f"{str(who.names[row])!r}, too few for lists of {candidates}; ask for shorter lists."
        )
    negatives = _skip(_distinct(rng, eligible, candidates - 1), excluded, width)
    lists = np.concatenate([positives[:, None], catalogue[negatives]], axis=1)
    shuffle = np.argsort(rng.random(lists.shape), axis=1)
    return np.take_along_axis(lists, shuffle, axis=1)


def _lists_from(
    rng: np.random.Generator, market: Market, users: np.ndarray, positives: np.ndarray, size: int
) -> Lists:
    """Lists for `users` with `positives`, both codes of `market.coded`, int64 [U]."""
    coded = market.coded
    known = [coded.tables[name].items for name in ("train_5core", "valid_qrel") if name in coded.tables]
    row_of = np.full(len(coded.users), -1, dtype=np.int64)
    row_of[users] = np.arange(len(users))
    history = [coded.tables[name] for name in HISTORY if name in coded.tables]
    rows = np.concatenate([row_of[table.users] for table in history])
    items = np.concatenate([table.items for table in history])
    names = coded.users[users]
    catalogue = np.unique(np.concatenate([*known, positives]))
    past = Pairs(rows[rows >= 0], items[rows >= 0])
    return Lists(
        names, coded.items[draw_lists(rng, Users(market.name, names), catalogue, past, positives, size)]
    )


def _distinct(rng: np.random.Generator, sizes: np.ndarray, count: int) -> np.ndarray:
    """For each row u a uniform `count`-subset of range(sizes[u]), int64 [U, count], by Floyd's algorithm.

    `count` steps over all rows at once: the cost does not grow with the catalogue.
    """
    chosen = np.empty((len(sizes), count), dtype=np.int64)
    for step in range(count):
        top = sizes - count + step
        draw = rng.integers(0, top + 1)
        taken = (chosen[:, :step] == draw[:, None]).any(axis=1)
        chosen[:, step] = np.where(taken, top, draw)
    return chosen


def _skip(draws: np.ndarray, excluded: np.ndarray, width: int) -> np.ndarray:
    """Turn "the x-th place left to user u" into a place: x plus the excluded places at or before it.

    With e_0 < e_1 < ... excluded for u, e_k lies at or before the answer iff e_k - k <= x.
    """
    rows = excluded // width
    first = np.searchsorted(rows, np.arange(len(draws)))
    shifted = excluded - (np.arange(len(excluded)) - first[rows])
    keys = np.arange(len(draws))[:, None] * width + draws
    passed = np.searchsorted(shifted, keys, side="right") - first[:, None]
    return np.asarray(draws + passed)


def _five_core(market: Market) -> CodedTable:
    if market.train_5core is None:
        raise UserError(
            f"market {market.name} has no train_5core.tsv, from which lists are drawn; choose another target."
        )
    return market.coded.tables["train_5core"]
