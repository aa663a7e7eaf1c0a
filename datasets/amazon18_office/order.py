"""Rows must stand in order of time, training before validation before test."""

from __future__ import annotations

import numpy as np

from remeasure.errors import UserError

from .rows import Table


def check_order(tables: list[Table]) -> None:
    """Refuse the first row that is older than what stands before it; tables in the order training, validation, test.

    Where the files have times, these decide. Else a user's history tells: it grows from row to row.
    """
    _by_time(tables)
    _by_history(tables)


def _by_time(tables: list[Table]) -> None:
    latest, whose = -np.inf, ""
    for table in tables:
        if table.time is None or not len(table.time):
            continue
        early = np.flatnonzero(np.diff(table.time) < 0)
        if len(early):
            at = early[0] + 1
            raise UserError(
                f"{table.name}, row {table.row[at]}: timestamp {table.time[at]:.0f} is earlier than the row "
                f"before's, {table.time[at - 1]:.0f}; sort the rows by time."
            )
        if table.time[0] < latest:
            raise UserError(
                f"{table.name}, row {table.row[0]}: timestamp {table.time[0]:.0f} is earlier than the last of "
                f"{whose}, {latest:.0f}; cut the rows by time."
            )
        latest, whose = table.time[-1], table.name


def _by_history(tables: list[Table]) -> None:
    before: dict[str, tuple[int, str, int]] = {}
    for table in tables:
        for row, user, history in zip(table.row.tolist(), table.user.tolist(), table.history, strict=True):
            length, file, number = before.get(user, (0, "", 0))
            if len(history) < length:
                raise UserError(
                    f"{table.name}, row {row}: the history of user {user} has {len(history)} items, fewer than in "
                    f"{file}, row {number}; put the rows in order of time."
                )
            before[user] = (len(history), table.name, row)
