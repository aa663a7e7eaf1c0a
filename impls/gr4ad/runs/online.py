"""Streams that an arm serves and learns from, and what is read from them.

An arm and its third of the stream share one run, and all arms of a block begin with the same decoder: the last ones are
kept in the process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from remeasure.datasets.adsim.loader import DAY_S, Adsim
from remeasure.datasets.common.interactions import Interactions
from remeasure.datasets.uci_online_retail.loader import Retail

from ..measures import Ratio, judge
from ..online.loop import Loop
from ..online.measures import Delays, earned, first_of_users, joined, loss, third_of
from ..online.questions import Online
from ..online.start import Start, begun
from ..online.streams import hours, months
from ..requests import Requests

STREAM = 0
"""Seed of the simulated days: every block meets the same ones."""
DAYS_K, RETAIL_K = 10, 50


@dataclass(frozen=True, eq=False)
class Days:
    """A run over simulated days."""

    revenue: dict[int, list[Ratio]]
    """By third."""
    loss: dict[int, np.ndarray]
    """float64 [T] of the test rows, at the end of each third."""
    ads: np.ndarray
    """int64, the new ones."""
    waited: np.ndarray
    """float64, days, of each until it was first shown."""
    shown: np.ndarray
    """bool, whether each ever was."""
    versions: list[int]
    """Of the snapshot that served each step."""


def on_days(asked: Online, data: Adsim, seed: int) -> Callable[[], dict[str, object]]:
    """What a round returns of an arm on simulated days."""
    done = _days(data, _whole(asked), seed)
    everybody = np.arange(len(data.users))
    forgot = Ratio(data.test.rows.user, done.loss[asked.third], np.ones(len(data.test.rows)))
    result = {
        "revenue share": joined(done.revenue[asked.third], everybody).by_user()[1],
        "loss on the first days' clicks": joined([forgot], everybody).by_user()[1],
        "wait of a new ad": done.waited,
        "new ads shown": done.shown.astype(np.float64),
        "units": {"user": data.users.tolist(), "ad": [f"ad{ad}" for ad in done.ads.tolist()]},
        "extras": {"versions": done.versions, "share by third": _overall(done.revenue)},
    }
    return lambda: dict(result)


def on_months(asked: Online, data: Retail, seed: int) -> Callable[[], dict[str, object]]:
    """What a round returns of an arm on the months of Online Retail."""
    hits, found, users, by_month = _months(data, _whole(asked), seed)
    result = {
        "VR@50": joined(found[asked.third], users).by_user()[1],
        "HR@10": joined(hits[asked.third], users).by_user()[1],
        "units": data.users[users].tolist(),
        "extras": {"VR@50 by month": by_month},
    }
    return lambda: dict(result)


def _whole(asked: Online) -> Online:
    """The same run whatever is read from it."""
    return replace(asked, third=3)


@lru_cache(maxsize=1)
def _days(data: Adsim, asked: Online, seed: int) -> Days:
    start = _start(data, _alike(asked), seed)
    loop, delays = Loop(start, asked, seed, DAYS_K), Delays(data.world.live)
    revenue: dict[int, list[Ratio]] = {1: [], 2: [], 3: []}
    first, losses, versions, end = data.test.rows, {}, [], 0.0
    requests = Requests.of(first, start.catalogue, asked.history, start.units.mean_spent)
    for served in loop.run(hours(data, STREAM, asked.steps_served)):
        step, third = served.step, third_of(served.number, asked.steps_served)
        revenue[third].append(earned(step.day.world, served.rows, served.lists))
        delays.add(step.offered, step.begin, served.lists, served.rows.time)
        versions.append(served.version)
        end = step.end
        if third_of(served.number + 1, asked.steps_served) > third:
            losses[third] = loss(loop.decoder, requests, first.item)
    ads, shown, waited = delays.of(end)
    return Days(revenue, losses, ads, waited / DAY_S, shown, versions)


@lru_cache(maxsize=1)
def _months(
    data: Retail, asked: Online, seed: int
) -> tuple[dict[int, list[Ratio]], dict[int, list[Ratio]], np.ndarray, dict[str, float]]:
    """HR@10 and VR@50 on new items by third, the users who were ever judged, and VR@50 by month."""
    loop = Loop(_start(data, _alike(asked), seed), asked, seed, RETAIL_K, fresh=True)
    hits: dict[int, list[Ratio]] = {1: [], 2: [], 3: []}
    found: dict[int, list[Ratio]] = {1: [], 2: [], 3: []}
    by_month = {}
    for served in loop.run(months(data, asked.steps_served)):
        split, third = served.step.split, third_of(served.number, asked.steps_served)
        some = first_of_users(served.rows, served.step.begin)
        rows = served.rows.select(some)
        judged = judge(served.lists[some], rows, rows.new(), np.minimum(rows.value, split.cap))
        hits[third].append(judged.hits(10))
        found[third].append(judged.value_recall(50))
        by_month[split.name] = judged.value_recall(50).overall()
    users = np.unique(np.concatenate([part.user for parts in found.values() for part in parts]))
    return hits, found, users, by_month


def _alike(asked: Online) -> Online:
    """What the beginning depends on: arms that differ in nothing else share it."""
    told = Online()
    later = ("learning", "every", "steps_served", "online_rate", "online_batch", "offers", "norm", "beta")
    return replace(asked, **{name: getattr(told, name) for name in later})


@lru_cache(maxsize=1)
def _start(data: Interactions, asked: Online, seed: int) -> Start:
    """Trained on what came before the stream."""
    before = next(data.months()) if isinstance(data, Retail) else data.test
    return begun(before, asked, seed)


def _overall(revenue: dict[int, list[Ratio]]) -> list[float]:
    return [joined(parts, np.zeros(0, dtype=np.int64)).overall() for parts in revenue.values()]
