"""Streams in order of time: simulated days hour by hour, and the months of Online Retail.

A step says which items there are, who asks, and what comes of the lists that they are given. It knows nothing of
models, and a model sees nothing of it but these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from remeasure.datasets.adsim.days import Day, days
from remeasure.datasets.adsim.loader import DAY_S, Adsim
from remeasure.datasets.common.interactions import Items, Log, Rows, Split, training_rows
from remeasure.datasets.uci_online_retail.loader import Retail

from .journal import Events, Shown, asked

HOURS = 24
"""Steps of a simulated day."""


class Step(Protocol):
    """One step of a stream."""

    @property
    def begin(self) -> float:
        """When it begins, in the data set's clock."""

    @property
    def end(self) -> float:
        """When it is over."""

    @property
    def items(self) -> Items:
        """All items known by now; places of earlier steps' items mean the same items."""

    @property
    def known(self) -> np.ndarray | None:
        """float64 [N], the items' value as known at serving; None where none is."""

    @property
    def offered(self) -> np.ndarray:
        """int64 [n], the items that may be shown, ascending."""

    def requests(self, log: Log) -> Rows:
        """Who asks, in an order that does not depend on lists; `log` is all that was logged before the step."""

    def answered(self, rows: Rows, lists: np.ndarray, offers: int) -> tuple[Events, Shown]:
        """What users do with lists int64 [R, k], and lists of `offers` items for learning from it."""


@dataclass(frozen=True, eq=False)
class Hour:
    """An hour of a simulated day. The draws that decide clicks are the same for every policy."""

    day: Day
    hour: int
    """0 to 23."""
    begin: float
    end: float
    items: Items
    known: np.ndarray | None

    @property
    def offered(self) -> np.ndarray:
        return self.day.world.live

    @property
    def _first(self) -> int:
        """The day's first request of the hour."""
        return self.hour * len(self.day.users) // HOURS

    def requests(self, log: Log) -> Rows:
        """Those of users who have clicked before; the moments are evenly spread over the hour."""
        users = self.day.users[self._first : (self.hour + 1) * len(self.day.users) // HOURS]
        time = np.floor(self.begin + np.arange(len(users)) * (self.end - self.begin) / max(1, len(users)))
        length = np.diff(log.offsets)[users]
        able = length > 0
        return asked(log, users[able], time[able], length[able])

    def answered(self, rows: Rows, lists: np.ndarray, offers: int) -> tuple[Events, Shown]:
        """Every click is an event; the log values all that was shown, clicked or not. A user's requests of one hour
        have the history that he had at its begin."""
        users = self.day.users[self._first : (self.hour + 1) * len(self.day.users) // HOURS]
        length = np.diff(rows.log.offsets)[users]
        shown = np.full((len(users), lists.shape[1]), -1, dtype=np.int64)
        shown[length > 0] = lists
        came = self.day.answer(shown, self._first)
        clicked, ecpm, deep = (part[length > 0] for part in (came.clicked, came.ecpm, came.converted))
        row, place = np.nonzero(clicked)
        order = np.lexsort((place, rows.time[row], rows.user[row]))
        row, place = row[order], place[order]
        events = Events(
            rows.user[row],
            lists[row, place],
            ecpm[row, place],
            deep[row, place].astype(np.int64),
            rows.time[row],
            np.arange(len(row)),
        )
        item, value = filled(lists[:, :offers], ecpm[:, :offers])
        took, depth = clicked[:, :offers], deep[:, :offers].astype(np.int64)
        return events, Shown(rows.user, rows.time, rows.end - rows.start, item, took, value, depth)


def hours(data: Adsim, seed: int, count: int) -> Iterator[Hour]:
    """The first `count` hours after the log; the same world and seed give the same ones."""
    begin = data.world.constants.days * DAY_S
    for number, day in enumerate(islice(days(data.world, seed), -(-count // HOURS))):
        items, known = day.world.items(), day.world.worth(np.arange(len(day.world.ads)))
        for hour in range(min(HOURS, count - number * HOURS)):
            start = begin + number * DAY_S + hour * DAY_S / HOURS
            yield Hour(day, hour, start, start + DAY_S / HOURS, items, known)


@dataclass(frozen=True, eq=False)
class Month:
    """A month of Online Retail. What is logged is what customers bought: nobody was shown anything."""

    split: Split
    """Trained to the month's begin, tested on its first invoices."""
    log: Log
    """All baskets before the month's end."""
    begin: float
    end: float

    @property
    def items(self) -> Items:
        return self.split.items

    @property
    def known(self) -> None:
        return None

    @property
    def offered(self) -> np.ndarray:
        """Products that were sold before."""
        return np.flatnonzero(self.split.known)

    def requests(self, log: Log) -> Rows:
        """One for every basket of a customer who has bought before."""
        rows = training_rows(self.log)
        return rows.select(rows.time >= self.begin)

    def answered(self, rows: Rows, lists: np.ndarray, offers: int) -> tuple[Events, Shown]:
        """Baskets are events. A list for learning holds up to half of `offers` items of one basket, then what the
        request was answered with and the basket lacks, which is worth 0. Every item of a basket is in one list."""
        late = self.log.where(self.log.time >= self.begin)
        events = Events(late.user(), late.item, late.value, late.depth, late.time, late.basket)
        half = max(1, offers // 2)
        row = rows.row()
        within = np.arange(len(row)) - rows.offsets[row]
        many = -(-np.diff(rows.offsets) // half)
        first = np.cumsum(many) - many
        slate, place = first[row] + within // half, within % half
        bought = np.full((int(many.sum()), half), -1, dtype=np.int64)
        value = np.zeros((len(bought), offers))
        bought[slate, place] = rows.item
        value[slate, place] = np.minimum(rows.value, self.split.cap)
        owner = np.repeat(np.arange(len(rows)), many)
        every = np.concatenate((bought, _lacking(rows, lists)[owner]), axis=1)
        order = np.argsort(every < 0, axis=1, kind="stable")[:, :offers]
        item, value = filled(np.take_along_axis(every, order, axis=1), value)
        took = np.concatenate((bought >= 0, np.zeros((len(bought), offers - half), dtype=bool)), axis=1)
        length = (rows.end - rows.start)[owner]
        shown = Shown(
            rows.user[owner],
            rows.time[owner],
            length,
            item,
            took,
            value,
            np.zeros(item.shape, dtype=np.int64),
        )
        return events, shown


def months(data: Retail, count: int) -> Iterator[Month]:
    """The first `count` months after April 2011."""
    splits = list(islice(data.months(), count + 1))
    moments = [float(np.datetime64(split.name, "s").astype(np.int64)) for split in splits]
    last = float(data.log.time.max()) + 1.0
    for split, begin, end in zip(splits[:count], moments, [*moments[1:], last], strict=False):
        yield Month(split, data.log.before(end), begin, end)


def _lacking(rows: Rows, lists: np.ndarray) -> np.ndarray:
    """int64 [R, k]: the lists with -1 where an item is a target of the row."""
    span = int(max(lists.max(initial=0), rows.item.max(initial=0))) + 2
    bought = rows.row() * span + rows.item
    taken = np.isin(np.arange(len(lists))[:, None] * span + lists, bought)
    return np.where(taken, -1, lists)


def filled(item: np.ndarray, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lists int64 [M, n] and their values; one that ends early (-1) goes on with its first item, at the same value."""
    ends = item < 0
    return np.where(ends, item[:, :1], item), np.where(ends, value[:, :1], value)
