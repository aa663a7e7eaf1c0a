"""Days that pass: tastes move, ads are replaced, users ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from .creation import draw_ads
from .feedback import Chance, Feedback, chance, respond
from .world import World

PLACES = 10
"""Places of a list that can be answered."""


@dataclass(frozen=True, eq=False)
class Day:
    """One day: its truth, and who asks."""

    number: int
    """From 1."""
    world: World
    """Places of earlier days' ads mean the same ads; new ones stand behind them."""
    users: np.ndarray
    """int64 [requests], who asks, in order."""
    draws: Chance
    """The same for every policy that serves this day."""

    def answer(self, lists: np.ndarray, first: int = 0) -> Feedback:
        """What the users of the requests from `first` on do with lists int [n, up to 10]."""
        some = slice(first, first + len(lists))
        return respond(self.world, self.users[some], lists, self.draws.select(some))


def days(world: World, seed: int) -> Iterator[Day]:
    """Days after that of `world`, without end; the same world and seed give the same days.

    Each day every user's mixture becomes (1 - drift) of itself and drift of a flat Dirichlet draw, and a share of the
    ads on offer is replaced by new ones of the same accounts.
    """
    laws = world.constants
    rng = np.random.default_rng([12, seed])
    number = 0
    while True:
        number += 1
        world = _next(world, rng)
        users = rng.integers(len(world.mixture), size=laws.day_requests)
        yield Day(number, world, users, chance(laws.day_requests, PLACES, rng))


def _next(world: World, rng: np.random.Generator) -> World:
    laws = world.constants
    step = rng.dirichlet(np.ones(laws.topics), len(world.mixture))
    count = round(laws.replaced * len(world.live))
    gone = rng.choice(len(world.live), size=count, replace=False)
    new = draw_ads(count, laws, world.topics, world.image, world.account_bid, rng)
    behind = len(world.ads) + np.arange(count)
    return replace(
        world,
        ads=world.ads.followed_by(new),
        live=np.concatenate([np.delete(world.live, gone), behind]),
        mixture=(1.0 - laws.drift) * world.mixture + laws.drift * step,
    )
