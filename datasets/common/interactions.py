"""Who took which item when, as arrays: what data sets of interactions give to models.

A log holds what users did, by user and then in order of time. A row is a question about one user at one moment: its
history is a run of a log, its targets are what the user took next. Nothing is cut or padded before a model asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

CAP = 0.99
"""Quantile of the training values at which values are capped where a few would decide everything."""


@dataclass(frozen=True, eq=False)
class Items:
    """What is known of every item before anybody is asked about it."""

    ids: np.ndarray
    """str [N], each once."""
    text: np.ndarray
    """objects of str [N]; empty where `vectors` are all the content there is."""
    account: np.ndarray
    """int64 [N], whose item it is: a place in `accounts`."""
    accounts: np.ndarray
    """str [A]."""
    conversion: np.ndarray
    """int64 [N], what is counted as success of it: a place in `conversions`."""
    conversions: tuple[str, ...]
    price: np.ndarray | None = None
    """float64 [N], at least 0, where the data say it."""
    vectors: np.ndarray | None = None
    """float32 [N, d], content vectors where the data bring them."""
    sids: np.ndarray | None = None
    """int64 [N, levels], published semantic ids where the data bring them."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Log:
    """Events of U users: those of user u are `offsets[u]:offsets[u + 1]`, in order of time.

    Items of one basket stand together, each once.
    """

    offsets: np.ndarray
    """int64 [U + 1], ascending from 0 to E."""
    item: np.ndarray
    """int64 [E], places in the items."""
    value: np.ndarray
    """float64 [E], at least 0, in the data set's currency."""
    depth: np.ndarray
    """int64 [E]: 0 for the usual behaviour, 1 for a deeper one (a conversion, a purchase by coupon)."""
    time: np.ndarray
    """float64 [E], in the data set's clock; the same for all of a basket."""
    basket: np.ndarray
    """int64 [E], equal within a basket and nowhere else, ascending."""

    def __len__(self) -> int:
        return len(self.item)

    @property
    def users(self) -> int:
        return len(self.offsets) - 1

    def user(self) -> np.ndarray:
        """int64 [E], whose event it is."""
        return np.repeat(np.arange(self.users), np.diff(self.offsets))

    def starts(self) -> np.ndarray:
        """int64 [B + 1], where every basket begins, and the log's end."""
        return np.append(np.flatnonzero(np.diff(self.basket, prepend=-1)), len(self))

    def where(self, keep: np.ndarray) -> Log:
        """The events marked by bool [E]; all users stay, also those without any."""
        counts = np.bincount(self.user()[keep], minlength=self.users)
        parts = (array[keep] for array in (self.item, self.value, self.depth, self.time, self.basket))
        return Log(np.concatenate(([0], np.cumsum(counts))), *parts)

    def before(self, moment: float) -> Log:
        """What happened before a moment."""
        return self.where(self.time < moment)


@dataclass(frozen=True, eq=False)
class Histories:
    """The last S events before every row, the latest last; places that a short history leaves are on the left."""

    item: np.ndarray
    """int64 [R, S], -1 where there is nothing."""
    value: np.ndarray
    """float64 [R, S], 0 where there is nothing."""
    depth: np.ndarray
    """int64 [R, S], 0 where there is nothing."""
    age: np.ndarray
    """float64 [R, S], from the event to the row's moment, at least 0; 0 where there is nothing."""


@dataclass(frozen=True, eq=False)
class Rows:
    """R questions: what does `user[r]`, whose history is `log[start[r]:end[r]]`, take at `time[r]`?"""

    log: Log
    user: np.ndarray
    """int64 [R], places in the data set's users."""
    start: np.ndarray
    """int64 [R]."""
    end: np.ndarray
    """int64 [R], above `start`: no history is empty, and none reaches over two users of the log."""
    time: np.ndarray
    """float64 [R], not before the history's events."""
    offsets: np.ndarray
    """int64 [R + 1]: the targets of row r are `offsets[r]:offsets[r + 1]`, at least one."""
    item: np.ndarray
    """int64 [T], the targets; each once in a row."""
    value: np.ndarray
    """float64 [T], at least 0."""

    def __len__(self) -> int:
        return len(self.user)

    def row(self) -> np.ndarray:
        """int64 [T], which row's target it is."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def select(self, rows: np.ndarray) -> Rows:
        """Some rows, given as int64 places or a bool mask [R]."""
        rows = np.arange(len(self))[rows]
        counts = np.diff(self.offsets)[rows]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        targets = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], counts)
        return Rows(
            self.log,
            self.user[rows],
            self.start[rows],
            self.end[rows],
            self.time[rows],
            offsets,
            self.item[targets],
            self.value[targets],
        )

    def last(self, size: int) -> Histories:
        """The last `size` events of every history."""
        place = self.end[:, None] - np.arange(size, 0, -1)
        there = place >= self.start[:, None]
        place = np.where(there, place, self.start[:, None])

        def taken(array: np.ndarray, nothing: float) -> np.ndarray:
            return np.where(there, array[place], np.asarray(nothing, dtype=array.dtype))

        age = np.where(there, self.time[:, None] - self.log.time[place], 0.0)
        log = self.log
        return Histories(taken(log.item, -1), taken(log.value, 0), taken(log.depth, 0), age)

    def spent(self) -> np.ndarray:
        """float64 [R], the value of all of the history."""
        total: np.ndarray = np.concatenate(([0.0], np.cumsum(self.log.value)))
        spent: np.ndarray = total[self.end] - total[self.start]
        return spent

    def new(self) -> np.ndarray:
        """bool [T], whether the history, however long, lacks the target."""
        if not len(self.item):
            return np.zeros(0, dtype=bool)
        size = len(self.log)
        items = 1 + max(int(self.log.item.max()), int(self.item.max()))
        # One number for user, item and place, so that the latest place of an item is found by bisection.
        places = np.sort((self.log.user() * items + self.log.item) * size + np.arange(size))
        row = self.row()
        owner = np.searchsorted(self.log.offsets, self.start[row], side="right") - 1
        key = (owner * items + self.item) * size
        latest = np.searchsorted(places, key + self.end[row]) - 1
        there: np.ndarray = (latest >= 0) & (places[latest] >= key + self.start[row])
        return ~there


@dataclass(frozen=True, eq=False)
class Split:
    """What is learned from, and the rows judged by it."""

    name: str
    items: Items
    """All items; what is estimated of them is estimated from the training part."""
    train: Log
    """All that may be learned from."""
    rows: Rows

    @cached_property
    def known(self) -> np.ndarray:
        """bool [N], which items occur in training."""
        known: np.ndarray = np.bincount(self.train.item, minlength=len(self.items)) > 0
        return known

    def cold(self) -> np.ndarray:
        """bool [T], which targets never occur in training."""
        cold: np.ndarray = ~self.known[self.rows.item]
        return cold

    @cached_property
    def cap(self) -> float:
        """The 99th percentile of the training values."""
        return float(np.quantile(self.train.value, CAP))

    def capped(self) -> np.ndarray:
        """float64 [T], the targets' values, none above the cap."""
        capped: np.ndarray = np.minimum(self.rows.value, self.cap)
        return capped


@dataclass(frozen=True, eq=False)
class Interactions:
    """What a case gets. `label` names it in reports."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    clock: Literal["seconds", "steps"]
    """What times count: seconds, or one for each event where the data have no times."""
    currency: str
    """Sign of the values' unit; empty where every event counts 1."""
    users: np.ndarray
    """str [U]."""
    validation: Split
    """What configurations are chosen on."""
    test: Split


def training_rows(log: Log) -> Rows:
    """One row for every basket but a user's first: what came before it, and its items as targets."""
    starts = log.starts()
    begin, end = starts[:-1], starts[1:]
    user = np.searchsorted(log.offsets, begin, side="right") - 1
    every = Rows(
        log, user, log.offsets[user], begin, log.time[begin], np.append(begin, end[-1:]), log.item, log.value
    )
    return every.select(begin > log.offsets[user])
