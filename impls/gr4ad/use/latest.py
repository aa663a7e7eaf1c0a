"""Questions without answers: what would each user take next, after all that is known of him, or after what is given."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from remeasure.datasets.common.interactions import Interactions, Items, Log, Rows
from remeasure.errors import UserError


@dataclass(frozen=True, eq=False)
class Questions:
    """R questions."""

    users: np.ndarray
    """str [R], who is asked about."""
    rows: Rows
    """His history; no targets."""


@dataclass(frozen=True, eq=False)
class _Events:
    """What some users did, by user and in order of time."""

    user: np.ndarray
    item: np.ndarray
    value: np.ndarray
    time: np.ndarray

    def where(self, keep: np.ndarray) -> _Events:
        return _Events(self.user[keep], self.item[keep], self.value[keep], self.time[keep])


def latest(data: Interactions) -> Questions:
    """Every user with a history, after his last test row and its targets, else after what is known besides.

    Data without times say of a user only what stands in his last row; the log is then older than any row.
    """
    log = data.test.train
    sources = [_after(data.test.rows)]
    if data.clock == "steps":
        sources.append(_after(data.validation.rows))
    sources.append(_Events(log.user(), log.item, log.value, log.time))
    chosen, known = list[_Events](), np.zeros(len(data.users), dtype=bool)
    for source in sources:
        chosen.append(source.where(~known[source.user]))
        known[source.user] = True
    parts = [
        np.concatenate([getattr(each, name) for each in chosen]) for name in ("user", "item", "value", "time")
    ]
    order = np.argsort(parts[0], kind="stable")
    events = _Events(*(part[order] for part in parts))
    return _asked(events, data.users, None if data.clock == "steps" else float(events.time.max()))


def of_users(asked: Questions, names: tuple[str, ...]) -> Questions:
    """Only the questions about these users; raises UserError for one about whom there is none."""
    if missing := sorted(set(names) - set(asked.users.tolist())):
        raise UserError(f"user {missing[0]} has no history; give at least one known item.")
    rows = np.flatnonzero(np.isin(asked.users, names))
    return Questions(asked.users[rows], asked.rows.select(rows))


def given(path: Path, items: Items, clock: str) -> Questions:
    """Histories of a file with one JSON object a line: `{"user": "A12", "items": ["17", "3"]}`, the latest last.

    Where the data's clock counts seconds, `ages` says how many seconds ago each item was taken. An item counts its
    price, or 1 where items have none. Raises UserError, with file, row and field.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); name a file of histories.") from None
    places = {item: place for place, item in enumerate(items.ids.tolist())}
    users, histories, ages = list[str](), list[list[int]](), list[list[float]]()
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path.name}, row {number}"
            user, taken, since = _line(line, where, places, clock)
            users.append(user)
            histories.append(taken)
            ages.append(since)
    if not users:
        raise UserError(f"{path.name} holds no history; write one JSON object a line.")
    counts = [len(history) for history in histories]
    item = np.concatenate([np.array(history, dtype=np.int64) for history in histories])
    values = np.ones(len(item)) if items.price is None else items.price[item]
    time = -np.concatenate([np.array(since, dtype=np.float64) for since in ages])
    return _asked(_Events(np.repeat(np.arange(len(users)), counts), item, values, time), np.array(users), 0.0)


def _line(line: str, where: str, places: dict[str, int], clock: str) -> tuple[str, list[int], list[float]]:
    try:
        said: Any = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not isinstance(said.get("items"), list) or "user" not in said:
        raise UserError(f'{where} is no history; write it as {{"user": "A12", "items": ["17", "3"]}}.')
    user, taken = str(said["user"]), [str(item) for item in said["items"]]
    if not taken:
        raise UserError(f"{where}: user {user} has no history; give at least one known item.")
    if unknown := [item for item in taken if item not in places]:
        raise UserError(f"{where}: items {unknown[0]} is no item of the data; mend the row.")
    since = said.get("ages", [len(taken) - step for step in range(len(taken))] if clock == "steps" else None)
    if not isinstance(since, list) or len(since) != len(taken) or not _ages(since):
        raise UserError(
            f"{where}: ages of user {user} are {since}; give seconds of at least 0 for every item, the least last."
        )
    return user, [places[item] for item in taken], [float(age) for age in since]


def _ages(since: list[Any]) -> bool:
    numbers = all(isinstance(age, int | float) and 0 <= age < float("inf") for age in since)
    return numbers and all(one >= next_ for one, next_ in pairwise(since))


def _after(rows: Rows) -> _Events:
    """Each user's last row: its history, then its targets at its moment."""
    user, place = np.unique(rows.user[::-1], return_index=True)
    last = rows.select(len(rows) - 1 - place)
    counts = last.end - last.start
    history = np.arange(counts.sum()) + np.repeat(last.start - counts.cumsum() + counts, counts)
    row = np.concatenate([np.repeat(np.arange(len(last)), counts), last.row()])
    order = np.argsort(row, kind="stable")
    return _Events(
        user[row[order]],
        np.concatenate([last.log.item[history], last.item])[order],
        np.concatenate([last.log.value[history], last.value])[order],
        np.concatenate([last.log.time[history], last.time[last.row()]])[order],
    )


def _asked(events: _Events, users: np.ndarray, moment: float | None) -> Questions:
    """A question a user who has events, at `moment`; None: one step after his last event."""
    counts = np.bincount(events.user, minlength=len(users))
    offsets = np.concatenate(([0], np.cumsum(counts)))
    log = Log(
        offsets,
        events.item,
        events.value,
        np.zeros(len(events.item), dtype=np.int64),
        events.time,
        np.arange(len(events.item)),
    )
    user = np.flatnonzero(counts)
    start, end = offsets[user], offsets[user + 1]
    time = log.time[end - 1] + 1 if moment is None else np.full(len(user), moment)
    nothing = np.zeros(0)
    rows = Rows(
        log, user, start, end, time, np.zeros(len(user) + 1, np.int64), nothing.astype(np.int64), nothing
    )
    return Questions(users[user], rows)
