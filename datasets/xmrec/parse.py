"""Parsing of the two file kinds of a market; whatever is wrong is said with file and line.

The fields of every line are counted on the raw bytes before pandas sees them: its C parser would quietly
shift or pad a line with the wrong number of fields.
"""

import csv
import io
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

COLUMNS = ("userId", "itemId", "rating")


def read_interactions(path: Path) -> pd.DataFrame:
    """A table with header userId, itemId, rating (tab separated; further columns are dropped).

    Returns userId and itemId as strings, rating as float64. Raises UserError, with file and line, for a
    missing column, a wrong number of fields, an empty id, a rating that is not a positive number, no rows.
    """
    data = _bytes(path)
    header = data.partition(b"\n")[0].decode().split("\t")
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UserError(
            f"{path}:1: column {missing[0]} is missing; "
            "the first line must be userId, itemId, rating, tab separated."
        )
    _check_fields(path, data, len(header))
    kinds = {"userId": str, "itemId": str, "rating": np.float64}
    try:
        table = _parse(data, kinds)
    except ValueError:
        table = _parse(data, dict.fromkeys(COLUMNS, str))
    if table.empty:
        raise UserError(f"{path}:1: the file holds only its header; add rows or remove the file.")
    rating = pd.to_numeric(table["rating"], errors="coerce").to_numpy(np.float64)
    wrong = ~(np.isfinite(rating) & (rating > 0))
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{path}:{row + 2}: rating {str(table['rating'].iloc[row])!r} is not a positive number; "
            "correct the line."
        )
    for column in ("userId", "itemId"):
        empty = (table[column] == "").to_numpy()
        if empty.any():
            raise UserError(f"{path}:{int(empty.argmax()) + 2}: {column} is empty; correct the line.")
    return table


def read_lists(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Lines `user<TAB>item,item,...` -> users str [U] and items str [U, C], short lists padded with "".

    Raises UserError, with file and line, for a wrong number of fields, a user without candidates or with two
    lists, an empty or duplicated candidate, no lines.
    """
    data = _bytes(path)
    if not data:
        raise UserError(f"{path}:1: the file is empty; add lists or remove the file.")
    _check_fields(path, data, 2)
    seen: dict[str, list[str]] = {}
    for number, line in enumerate(data.decode().removesuffix("\n").split("\n"), start=1):
        user, _, joined = line.partition("\t")
        items = joined.split(",")
        if not user or not joined:
            what = f"user {user!r} has no candidates" if user else "the user id is empty"
            raise UserError(f"{path}:{number}: {what}; a line is user, tab, items joined by commas.")
        if user in seen:
            raise UserError(f"{path}:{number}: user {user!r} has a second list; keep one list a user.")
        if len(set(items)) < len(items):
            twice = next(item for place, item in enumerate(items) if item in items[:place])
            raise UserError(f"{path}:{number}: candidate {twice!r} occurs twice; keep it once.")
        if "" in items:
            raise UserError(
                f"{path}:{number}: a candidate is empty (two commas in a row?); correct the line."
            )
        seen[user] = items
    longest = max(map(len, seen.values()))
    padded = [items + [""] * (longest - len(items)) for items in seen.values()]
    return np.array(list(seen), dtype=str), np.array(padded, dtype=str)


def _bytes(path: Path) -> bytes:
    """The file with LF line ends, known to be UTF-8 without NUL bytes."""
    data = path.read_bytes().replace(b"\r\n", b"\n")
    try:
        data.decode("utf-8")
        place = data.find(b"\0")
    except UnicodeDecodeError as error:
        place = error.start
    if place >= 0:
        line = data.count(b"\n", 0, place) + 1
        raise UserError(
            f"{path}:{line}: the bytes are not UTF-8 text; fetch the file again or save it as UTF-8."
        )
    return data


def _check_fields(path: Path, data: bytes, expected: int) -> None:
    raw = np.frombuffer(data, dtype=np.uint8)
    ends = np.flatnonzero(raw == ord("\n"))
    if not data.endswith(b"\n"):
        ends = np.append(ends, len(raw))
    tabs = np.searchsorted(np.flatnonzero(raw == ord("\t")), ends)
    fields = np.diff(tabs, prepend=0) + 1
    wrong = fields != expected
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{path}:{row + 1}: {fields[row]} tab-separated fields where {expected} are expected "
            "(ids must not contain tabs, lines must not be empty); correct the line."
        )


def _parse(data: bytes, kinds: dict[str, type]) -> pd.DataFrame:
    table = pd.read_csv(
        io.BytesIO(data),
        sep="\t",
        usecols=list(COLUMNS),
        dtype=kinds,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
        lineterminator="\n",
        engine="c",
    )
    return table[list(COLUMNS)]
