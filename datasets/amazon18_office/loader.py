"""A folder in MiniOneRec's layout as rows: the published Office Products, one's own, or the declared simulator."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from remeasure.datasets.common.interactions import Interactions, Log, Rows, Split, training_rows
from remeasure.errors import UserError

from .layout import PUBLISHED, files_of
from .order import check_order
from .request import Request
from .rows import Table, read_table

__all__ = ["Request", "load"]

SIMULATED = (
    "no real data: made-up users and products in the layout of MiniOneRec; they say nothing about real ones"
)


def load(request: Request, root: Path | None) -> Interactions:
    """The rows under `root`, or made-up ones where it is None.

    Times count steps: the files have none that a history could be given. Values are prices where items have them, else
    1. Raises UserError, naming file, row and field, for whatever is wrong in the files.
    """
    if root is None:
        from .generator import simulate

        items, valid, test = simulate(request)
        train, label = None, "Amazon Office, simulated"
        notes = [SIMULATED]
    else:
        from .products import read_items

        files = files_of(root)
        items = read_items(files)
        valid, test = read_table(files.valid, items), read_table(files.test, items)
        train = read_table(files.train, items) if files.train else None
        label = "Amazon Office" if files.valid.name.startswith(PUBLISHED) else f"catalogue {root.name}"
        notes = []
    tables = [table for table in (train, valid, test) if table is not None]
    for table in tables:
        if not len(table.user):
            raise UserError(f"{table.name} has no row with a history; add some.")
        if table.empty:
            notes.append(f"{table.name}: {table.empty:,} rows of users without a history are left out")
    check_order(tables)
    users = np.unique(np.concatenate([table.user for table in tables]))
    values = np.ones(len(items)) if items.price is None else items.price
    log = _log(_from_train(train, users) if train else _from_first_rows((valid, test), users), values)
    prefixes = len(training_rows(log))
    source = "the train file" if train else "the pasts of users in their first rows, for want of a train file"
    notes.append(
        f"training: {prefixes:,} prefixes of {np.count_nonzero(np.diff(log.offsets)):,} users, from {source}"
    )

    def split(name: str, table: Table) -> Split:
        return Split(name, items, log, _rows(table, users, values))

    return Interactions(
        label=label,
        simulated=root is None,
        notes=tuple(notes),
        clock="steps",
        currency="" if items.price is None else "$",
        users=users,
        validation=split("validation", valid),
        test=split("test", test),
    )


def _from_train(table: Table, users: np.ndarray) -> list[list[int]]:
    """[U] the history of a user's first row, and the targets of all his rows."""
    past: list[list[int]] = [[] for _ in users]
    whose = np.searchsorted(users, table.user).tolist()
    for user, history, target in zip(whose, table.history, table.target.tolist(), strict=True):
        past[user] = past[user] or list(history)
        past[user].append(target)
    return past


def _from_first_rows(tables: tuple[Table, ...], users: np.ndarray) -> list[list[int]]:
    """[U] the history of a user's first row; no target of these tables is learned."""
    past: list[list[int]] = [[] for _ in users]
    for table in tables:
        for user, history in zip(np.searchsorted(users, table.user).tolist(), table.history, strict=True):
            past[user] = past[user] or history
    return past


def _log(past: list[list[int]], values: np.ndarray) -> Log:
    """One event a step; its time is its place in the user's past."""
    counts = np.array([len(items) for items in past], dtype=np.int64)
    offsets = np.concatenate(([0], np.cumsum(counts)))
    item = np.array([item for items in past for item in items], dtype=np.int64)
    step = np.arange(len(item)) - np.repeat(offsets[:-1], counts)
    return Log(
        offsets=offsets,
        item=item,
        value=values[item],
        depth=np.zeros(len(item), dtype=np.int64),
        time=step.astype(np.float64),
        basket=np.arange(len(item)),
    )


def _rows(table: Table, users: np.ndarray, values: np.ndarray) -> Rows:
    """Rows with the histories that stand in the file, however much of the user's past they leave out."""
    log = _log(table.history, values)
    return Rows(
        log=log,
        user=np.searchsorted(users, table.user),
        start=log.offsets[:-1],
        end=log.offsets[1:],
        time=np.diff(log.offsets).astype(np.float64),
        offsets=np.arange(len(table.target) + 1),
        item=table.target,
        value=values[table.target],
    )
