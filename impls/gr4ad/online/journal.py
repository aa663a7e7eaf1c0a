"""What has happened so far, and nothing else: the only thing that learning reads (§4.4).

Time is kept by one rule: a step adds what happened between its begin and its end, and a request's history is what its
user did before it. Whatever breaks the rule is refused, since a row of the future makes every result worthless.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from remeasure.datasets.common.interactions import Log, Rows
from remeasure.errors import UserError


@dataclass(frozen=True, eq=False)
class Events:
    """What users did in one step, by user and then in order of time."""

    user: np.ndarray
    """int64 [n], ascending."""
    item: np.ndarray
    """int64 [n]."""
    value: np.ndarray
    """float64 [n], at least 0."""
    depth: np.ndarray
    """int64 [n]."""
    time: np.ndarray
    """float64 [n]."""
    basket: np.ndarray
    """int64 [n], equal within a basket and nowhere else."""


@dataclass(frozen=True, eq=False)
class Shown:
    """Lists of n items, each under one request, with what came of every item."""

    user: np.ndarray
    """int64 [M], who asked."""
    time: np.ndarray
    """float64 [M], when."""
    length: np.ndarray
    """int64 [M], at least 1: how many events of the user came before."""
    item: np.ndarray
    """int64 [M, n]."""
    took: np.ndarray
    """bool [M, n], whether the user clicked or bought it."""
    value: np.ndarray
    """float64 [M, n], what the log says that it was worth, at least 0."""
    depth: np.ndarray
    """int64 [M, n], of what was taken."""

    def __len__(self) -> int:
        return len(self.user)

    def select(self, lists: np.ndarray) -> Shown:
        """Some lists, by places int64."""
        return Shown(*(getattr(self, name)[lists] for name in vars(self)))

    @classmethod
    def joined(cls, parts: list[Shown]) -> Shown:
        """One after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])))


@dataclass(frozen=True, eq=False)
class Journal:
    """The log up to a moment, and what was shown since the last update."""

    log: Log
    until: float
    """Everything before it is in the log, and nothing of what follows."""
    shown: tuple[Shown, ...] = ()
    """Not learned from yet."""

    def add(self, events: Events, shown: Shown, end: float) -> Journal:
        """With a step that lasted until `end`. Raises UserError, with the first offender, for what happened outside the
        step and for users who are not known."""
        for what, user, time in (("event", events.user, events.time), ("list", shown.user, shown.time)):
            wrong = np.flatnonzero((time < self.until) | (time >= end))
            if len(wrong):
                row = wrong[0]
                raise UserError(
                    f"{what} {row} of a step, of user {user[row]}, happened at {time[row]:.0f}, but the step lasts "
                    f"from {self.until:.0f} to {end:.0f}; give the rows in order of time, each in its own step."
                )
        return Journal(extended(self.log, events), end, (*self.shown, shown))

    def rows(self) -> tuple[Rows, Shown]:
        """What was shown since the last update, and its requests, without targets, in the same order.

        Raises UserError, with the first offender, for a history that holds what happened after its request.
        """
        shown = Shown.joined(list(self.shown))
        rows = asked(self.log, shown.user, shown.time, shown.length)
        late = np.flatnonzero(self.log.time[rows.end - 1] > shown.time)
        if len(late):
            row = late[0]
            raise UserError(
                f"the history of list {row}, of user {shown.user[row]}, goes on to "
                f"{self.log.time[rows.end[row] - 1]:.0f}, but the request was at {shown.time[row]:.0f}; end it before."
            )
        return rows, shown

    def learned(self) -> Journal:
        """The same, with nothing left to learn from."""
        return replace(self, shown=())


def asked(log: Log, user: np.ndarray, time: np.ndarray, length: np.ndarray) -> Rows:
    """Requests without targets: the history is the first `length` events of the user, int64 [R] above 0."""
    begin = log.offsets[user]
    nothing = np.zeros(0)
    offsets = np.zeros(len(user) + 1, dtype=np.int64)
    return Rows(log, user, begin, begin + length, time, offsets, nothing.astype(np.int64), nothing)


def extended(log: Log, events: Events) -> Log:
    """The log with later events at the end of what their users did. Raises UserError for a user who is not known."""
    if len(events.user) and not 0 <= events.user[0] <= events.user[-1] < log.users:
        raise UserError(
            f"an event is of user {events.user[-1]}, but there are {log.users}; give a known user."
        )
    place = log.offsets[events.user + 1]
    added = np.bincount(events.user, minlength=log.users)
    first = int(log.basket.max(initial=-1)) + 1
    basket = np.insert(log.basket, place, first + events.basket)
    return Log(
        log.offsets + np.concatenate(([0], np.cumsum(added))),
        np.insert(log.item, place, events.item),
        np.insert(log.value, place, events.value),
        np.insert(log.depth, place, events.depth),
        np.insert(log.time, place, events.time),
        np.cumsum(np.diff(basket, prepend=basket[:1]) != 0),
    )
