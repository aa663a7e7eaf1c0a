"""Swing (§1.1): two items are alike where users took both who otherwise have little in common.

s(i, j) = Σ over pairs of users u, v that took both of 1 / (α + |I_u ∩ I_v|). The sum is one sparse matrix product,
Pᵀ W P, with a row of P for each pair of users and W its weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from remeasure.datasets.common.interactions import Log

from .ranks import ranks


@dataclass(frozen=True)
class Swing:
    """Which users speak for an item, and which items are kept for each."""

    alpha: float = 1.0
    """α: the larger, the less it matters how much two users share; not said in the paper."""
    users: int = 50
    """Users of an item, at most, drawn where there are more: pairs grow with their square."""
    items: int = 500
    """Items of a user, at most, drawn where there are more."""
    positives: int = 10
    """Most alike items P_i kept for each."""


def positives(log: Log, items: int, swing: Swing, rng: np.random.Generator) -> sparse.csr_array:
    """Similarities float32 [N, N] of items, each row with the most alike ones, none of an item with itself.

    Takes training events only. Rows without any are items that no two users took with another.
    """
    taken = _taken(log, items, swing, rng)
    pairs, shared = _pairs(taken)
    weighted = sparse.diags_array((1 / (swing.alpha + shared)).astype(np.float32)) @ pairs
    alike = sparse.csr_array(pairs.T @ weighted)
    alike.setdiag(0)
    alike.eliminate_zeros()
    return _top(alike, swing.positives)


def _taken(log: Log, items: int, swing: Swing, rng: np.random.Generator) -> sparse.csr_array:
    """float32 [users, N], 1 where a user took an item, at most so many a user and an item; drawn by `rng`."""
    keys = np.unique(log.user() * items + log.item)
    keys = rng.permutation(keys)
    user, item = keys // items, keys % items
    keep = ranks(user) < swing.items
    user, item = user[keep], item[keep]
    keep = ranks(item) < swing.users
    user, item = user[keep], item[keep]
    return sparse.csr_array((np.ones(len(user), np.float32), (user, item)), shape=(log.users, items))


def _pairs(taken: sparse.csr_array) -> tuple[sparse.csr_array, np.ndarray]:
    """For each pair of users with an item in common: a row float32 [pairs, N] of ones, and how many they share [pairs].

    What two users share is counted among all that was kept of both.
    """
    by_item = sparse.csc_array(taken)
    by_item.sort_indices()
    counts = np.diff(by_item.indptr).astype(np.int64)
    place = np.arange(by_item.nnz) - np.repeat(by_item.indptr[:-1], counts)
    # The event at place p of its item is paired with the p events before it.
    second = np.repeat(np.arange(by_item.nnz), place)
    first = second - 1 - (np.arange(len(second)) - np.repeat(np.cumsum(place) - place, place))
    users = by_item.indices.astype(np.int64)
    item = np.repeat(np.arange(len(counts)), counts)[second]
    _, pair, shared = np.unique(
        users[first] * taken.shape[0] + users[second], return_inverse=True, return_counts=True
    )
    rows = sparse.csr_array(
        (np.ones(len(pair), np.float32), (pair, item)), shape=(len(shared), taken.shape[1])
    )
    return rows, shared


def _top(alike: sparse.csr_array, size: int) -> sparse.csr_array:
    """The largest entries of every row; of equal ones those of the smaller column."""
    row = np.repeat(np.arange(alike.shape[0]), np.diff(alike.indptr))
    order = np.lexsort((alike.indices, -alike.data, row))
    row, column, value = row[order], alike.indices[order], alike.data[order]
    keep = ranks(row) < size
    return sparse.csr_array((value[keep], (row[keep], column[keep])), shape=alike.shape)
