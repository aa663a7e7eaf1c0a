"""A simulated world, the log that was kept in it, and each user's last click as a judged row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from remeasure.datasets.common.interactions import Interactions, Log, Rows, Split
from remeasure.errors import UserError

from .cascade import Slates, show
from .constants import Constants
from .creation import create
from .feedback import Feedback, chance, respond
from .request import Request
from .world import World

__all__ = ["Adsim", "Request", "load"]

DAY_S = 86_400.0
JUDGED = 0.8
"""Share of the users whose last click is a test row; the last clicks of the others are for choosing configurations."""


@dataclass(frozen=True, eq=False)
class Adsim(Interactions):
    """Clicks as interactions, and what lies behind them. A click's value is its logged eCPM, its depth a conversion."""

    world: World
    """The truth."""
    asked: np.ndarray
    """int64 [Q], whose request it is; a user's requests stand together, in order of time."""
    slates: Slates
    """What was shown."""
    feedback: Feedback
    """What came of it."""


def load(request: Request, root: Path | None, laws: Constants | None = None) -> Adsim:
    """The world of a request; the same request gives the same world and log.

    Raises UserError for a folder (there are no files to read) and for a world that is too small.
    """
    if root is not None:
        raise UserError("adsim has no files to read: leave out the folder, and the simulator serves.")
    laws = laws or Constants()
    streams = (np.random.default_rng(each) for each in np.random.SeedSequence([11, request.seed]).spawn(4))
    of_world, of_slates, of_chance, of_users = streams
    world = create(request, laws, of_world)
    asked = np.repeat(np.arange(request.users), request.requests)
    slates = show(world, asked, of_slates)
    feedback = respond(world, asked, slates.shown, chance(len(asked), laws.slate, of_chance))
    time = np.sort(of_users.random((request.users, request.requests)) * laws.days * DAY_S, axis=1)
    log = _clicks(request.users, asked, np.floor(time).ravel(), slates.shown, feedback)
    validation, test = _last_clicks(log, of_users)
    train = log.where(~np.isin(np.arange(len(log)), log.offsets[1:][np.concatenate([validation, test])] - 1))
    items = world.items()
    return Adsim(
        label=f"simulated ads ({request.ads:,} ads, {request.users:,} users)",
        simulated=True,
        notes=(
            "adsim is simulated: its revenue is exact and says nothing about real users",
            f"noise of the log: Gumbel scale {laws.logging_noise} on the cascade's log eCPM, "
            f"{laws.ecpm_noise:.0%} on the logged eCPM",
        ),
        clock="seconds",
        currency="",
        users=np.char.add("user", np.arange(request.users).astype(str)),
        validation=Split("validation", items, train, _rows(log, train, validation)),
        test=Split("test", items, train, _rows(log, train, test)),
        world=world,
        asked=asked,
        slates=slates,
        feedback=feedback,
    )


def _clicks(users: int, asked: np.ndarray, time: np.ndarray, shown: np.ndarray, feedback: Feedback) -> Log:
    """Every click a basket of its own, in the order of requests and places, a second apart within a slate."""
    request, place = np.nonzero(feedback.clicked)
    counts = np.bincount(asked[request], minlength=users)
    # Requests of a user may lie less than a slate's seconds apart.
    moment = np.maximum.accumulate(asked[request] * 1e9 + time[request] + place) - asked[request] * 1e9
    return Log(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        item=shown[request, place].astype(np.int64),
        value=feedback.ecpm[request, place],
        depth=feedback.converted[request, place].astype(np.int64),
        time=moment,
        basket=np.arange(len(request)),
    )


def _last_clicks(log: Log, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Users int64 for validation and for test: those with a history before their last click, drawn by chance."""
    able = rng.permutation(np.flatnonzero(np.diff(log.offsets) >= 2))
    count = min(int(JUDGED * log.users), len(able) - 1)
    if count < 1:
        raise UserError("adsim: fewer than two users click twice; ask for more users or requests.")
    return np.sort(able[count:]), np.sort(able[:count])


def _rows(log: Log, train: Log, users: np.ndarray) -> Rows:
    """The users' last clicks; their histories are all that training holds of them."""
    last = log.offsets[users + 1] - 1
    return Rows(
        log=train,
        user=users,
        start=train.offsets[users],
        end=train.offsets[users + 1],
        time=log.time[last],
        offsets=np.arange(len(users) + 1),
        item=log.item[last],
        value=log.value[last],
    )
