"""Rows of a CSV file: whose, after which items, which item."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.datasets.common.interactions import Items
from remeasure.datasets.common.sids import sid_strings
from remeasure.errors import UserError

NEEDED = ("user_id", "history_item_id", "item_id")


@dataclass(frozen=True, eq=False)
class Table:
    """Rows in the file's order, those without a history left out."""

    name: str
    """The file's."""
    row: np.ndarray
    """int64 [R], which row of the file, from 1."""
    user: np.ndarray
    """str [R]."""
    history: list[list[int]]
    """[R] places of items, the latest last, at least one."""
    target: np.ndarray
    """int64 [R], places of items."""
    time: np.ndarray | None
    """float64 [R], where the file has a column timestamp."""
    empty: int
    """Rows that were left out."""


def read_table(path: Path, items: Items) -> Table:
    """The rows of a file.

    SIDs beside the ids are compared with the items' where they are. Raises UserError, naming file, row and field, for
    an item that is none, a history that is no list, a user without name, a time that is none, and a SID that differs.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path.name} is no readable CSV file ({str(error).strip()}); write it again."
        ) from None
    if missing := [name for name in NEEDED if name not in table.columns]:
        raise UserError(f"{path.name}: column {missing[0]} is missing; name it in the header.")
    places = {item: place for place, item in enumerate(items.ids.tolist())}
    sids = None if items.sids is None else sid_strings(items.sids)

    def place(row: int, field: str, item: object) -> int:
        found = places.get(str(item))
        if found is None:
            raise UserError(f"{path.name}, row {row}: {field} {item} is no item of item.json; mend the row.")
        return found

    histories, targets = [], []
    for row, (user, history, item) in enumerate(
        zip(*(table[name].tolist() for name in NEEDED), strict=True), start=1
    ):
        if not user.strip():
            raise UserError(f"{path.name}, row {row}: user_id is empty; name the user.")
        listed = _list(path, row, "history_item_id", history)
        histories.append([place(row, "history_item_id", past) for past in listed])
        targets.append(place(row, "item_id", item))
        if sids is not None and "item_sid" in table.columns:
            _same(path, row, "item_sid", table["item_sid"].iat[row - 1], sids[targets[-1]])
        if sids is not None and "history_item_sid" in table.columns:
            said = _list(path, row, "history_item_sid", str(table["history_item_sid"].iat[row - 1]))
            _same(path, row, "history_item_sid", said, [sids[past] for past in histories[-1]])
    time = _times(path, table["timestamp"]) if "timestamp" in table.columns else None
    full = np.array([bool(history) for history in histories], dtype=bool)
    return Table(
        name=path.name,
        row=1 + np.flatnonzero(full),
        user=table["user_id"].to_numpy(str)[full],
        history=[history for history in histories if history],
        target=np.array(targets, dtype=np.int64)[full],
        time=None if time is None else time[full],
        empty=int((~full).sum()),
    )


def _list(path: Path, row: int, field: str, text: str) -> list[object]:
    try:
        found = ast.literal_eval(text.strip() or "[]")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise UserError(f"{path.name}, row {row}: {field} is no list; write it as [1, 2, 3].")
    return found


def _same(path: Path, row: int, field: str, said: object, expected: object) -> None:
    if said != expected:
        raise UserError(
            f"{path.name}, row {row}: {field} is {said}, index.json has {expected}; make them equal."
        )


def _times(path: Path, cells: pd.Series) -> np.ndarray:
    times = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(~np.isfinite(times) | (times < 0))
    if len(wrong):
        raise UserError(
            f"{path.name}, row {wrong[0] + 1}: timestamp {cells.iloc[wrong[0]]} is no time; "
            "write seconds of at least 0."
        )
    return times
