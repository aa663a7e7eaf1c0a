"""From lines of purchases to a log of baskets, and from the log to the next baskets after a moment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from .interactions import Log, Rows


def log_of(lines: pd.DataFrame, users: int) -> Log:
    """The log of lines with the columns user, item (int64), value (float64), depth, time (float64) and basket (int64).

    Lines of one item in one basket are one event: values below 0 count as 0 and are added up, the depth is the
    greatest. A basket's time is its earliest line's. Baskets of one user are ordered by time, then by number; items
    within a basket as they first stand in the lines.
    """
    whole = lines.assign(
        value=lines["value"].clip(lower=0.0),
        time=lines.groupby("basket")["time"].transform("min"),
        place=np.arange(len(lines)),
    )
    merged = whole.groupby(["basket", "item"], as_index=False, sort=False).agg(
        user=("user", "first"),
        value=("value", "sum"),
        depth=("depth", "max"),
        time=("time", "first"),
        place=("place", "min"),
    )
    merged = merged.sort_values(["user", "time", "basket", "place"], kind="stable")
    counts = np.bincount(merged["user"], minlength=users)
    basket = merged["basket"].to_numpy()
    return Log(
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        item=merged["item"].to_numpy(np.int64),
        value=merged["value"].to_numpy(np.float64),
        depth=merged["depth"].to_numpy(np.int64),
        time=merged["time"].to_numpy(np.float64),
        basket=np.cumsum(np.diff(basket, prepend=basket[:1]) != 0),
    )


def next_baskets(log: Log, train: Log, begin: float, end: float) -> Rows:
    """A row for the first basket in [begin, end) of every user who has a history in `train`, in the users' order.

    `train` is the part of the log before `begin`. Targets are the distinct items of the basket.
    """
    starts = log.starts()
    first, after = starts[:-1], starts[1:]
    inside = np.flatnonzero((log.time[first] >= begin) & (log.time[first] < end))
    owner = np.searchsorted(log.offsets, first[inside], side="right") - 1
    user, place = np.unique(owner, return_index=True)
    chosen = inside[place]
    known = np.diff(train.offsets)[user] > 0
    user, chosen = user[known], chosen[known]
    every = Rows(
        log=train,
        user=np.searchsorted(log.offsets, first, side="right") - 1,
        start=train.offsets[np.searchsorted(log.offsets, first, side="right") - 1],
        end=train.offsets[np.searchsorted(log.offsets, first, side="right")],
        time=log.time[first],
        offsets=np.append(first, after[-1:]),
        item=log.item,
        value=log.value,
    )
    return every.select(chosen)
