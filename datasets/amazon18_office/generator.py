"""Made-up users and products as items and rows like the published ones."""

from __future__ import annotations

import numpy as np

from remeasure.datasets.common.interactions import Items
from remeasure.datasets.common.shop import Shop, purchases

from .request import Request
from .rows import Table

LONGEST = 10
"""Items of a history."""
LEVEL = 16
"""Codes of the second and third level."""


def simulate(request: Request) -> tuple[Items, Table, Table]:
    """Items, validation rows and test rows: prefixes of purchases by time, their last fifth cut in two."""
    made = purchases(Shop(request.users, request.products, 700, baskets=6.0, lines=1.2, seed=request.seed))
    lines = made.lines
    count = request.products
    rank = np.argsort(np.argsort(made.topic, kind="stable"), kind="stable")
    sids = np.column_stack([made.topic, rank // LEVEL % LEVEL, rank % LEVEL])
    items = Items(
        ids=np.arange(count).astype(str),
        text=np.array(made.words, dtype=object),
        account=made.topic * 3 + np.arange(count) % 3,
        accounts=np.arange(3 * (1 + made.topic.max())).astype(str),
        conversion=np.zeros(count, dtype=np.int64),
        conversions=("review",),
        sids=sids.astype(np.int64),
    )
    past: list[list[int]] = [[] for _ in range(request.users)]
    prefixes: list[tuple[int, list[int], int]] = []
    for user, item in zip(lines["user"].tolist(), lines["item"].tolist(), strict=True):
        if past[user]:
            prefixes.append((user, past[user][-LONGEST:], item))
        past[user].append(item)
    first, second = len(prefixes) * 8 // 10, len(prefixes) * 9 // 10
    return items, _table("valid", prefixes[first:second]), _table("test", prefixes[second:])


def _table(name: str, prefixes: list[tuple[int, list[int], int]]) -> Table:
    return Table(
        name=f"simulated.{name}.csv",
        row=np.arange(1, len(prefixes) + 1),
        user=np.array([f"A{user}" for user, _, _ in prefixes], dtype=str),
        history=[history for _, history, _ in prefixes],
        target=np.array([item for *_, item in prefixes], dtype=np.int64),
        time=None,
        empty=0,
    )
