"""Made-up purchases in a shop, for where no real ones are: tastes by topic, favourites bought again, unequal values.

Nothing about a model's quality on people shows in them; they have the shape of such data and serve tests and costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

DAY_S = 86_400
AGAIN = 0.4
"""Share of lines that come from the user's favourites."""
FAVOURITES = 8
"""Items a user buys again and again."""
WORDS_A_TOPIC = 12


@dataclass(frozen=True)
class Shop:
    """What is sold to whom."""

    users: int
    """Users; each has at least one basket."""
    items: int
    days: int
    """Purchases are spread over so many days."""
    baskets: float
    """Mean baskets a user."""
    lines: float
    """Mean lines a basket."""
    seed: int
    topics: int = 12


@dataclass(frozen=True, eq=False)
class Purchases:
    """Lines in order of time, and the items' topics and words."""

    lines: pd.DataFrame
    """user, item, basket, quantity (int64), price, time (float64; seconds from the first day's start)."""
    topic: np.ndarray
    """int64 [items]."""
    words: list[str]
    """Three made-up words an item, two of its topic; several items may share them."""


def purchases(shop: Shop) -> Purchases:
    """The same shop gives the same purchases."""
    rng = np.random.default_rng([7, shop.seed])
    topic = rng.integers(shop.topics, size=shop.items)
    popularity = rng.lognormal(0.0, 1.0, shop.items)
    price = np.round(rng.lognormal(0.8, 0.9, shop.items) + 0.05, 2)
    pack = rng.choice([1, 2, 6, 12, 24], p=[0.4, 0.2, 0.2, 0.15, 0.05], size=shop.items)
    # Items by topic, with one cumulative curve over all topics: topic k occupies (k, k + 1].
    order = np.argsort(topic, kind="stable")
    by_topic = topic[order]
    total = np.bincount(topic, weights=popularity, minlength=shop.topics)
    within = np.cumsum(popularity[order]) - np.concatenate(([0.0], np.cumsum(total)))[by_topic]
    curve = by_topic + within / total[by_topic]
    stocked = np.unique(topic)

    counts = 1 + rng.poisson((shop.baskets - 1) * rng.lognormal(-0.3, 0.8, shop.users))
    owner = np.repeat(np.arange(shop.users), counts)
    time = np.floor(rng.random(len(owner)) * shop.days * DAY_S)
    tastes = stocked[rng.integers(len(stocked), size=(shop.users, 2))]

    def draw(users: np.ndarray) -> np.ndarray:
        wanted = tastes[users, (rng.random(len(users)) < 0.3).astype(np.int64)]
        found = np.searchsorted(curve, wanted + rng.random(len(users)), side="left")
        drawn: np.ndarray = order[np.minimum(found, shop.items - 1)]
        return drawn

    favourites = draw(np.repeat(np.arange(shop.users), FAVOURITES)).reshape(shop.users, FAVOURITES)
    basket = np.repeat(np.arange(len(owner)), 1 + rng.poisson(shop.lines - 1, len(owner)))
    user = owner[basket]
    item = draw(user)
    again = rng.random(len(user)) < AGAIN
    item[again] = favourites[user[again], rng.integers(FAVOURITES, size=int(again.sum()))]
    lines = pd.DataFrame(
        {
            "user": user,
            "item": item,
            "basket": basket,
            "quantity": pack[item] * (1 + rng.poisson(0.3, len(user))),
            "price": price[item],
            "time": time[basket],
        }
    ).sort_values(["time", "basket"], kind="stable", ignore_index=True)
    return Purchases(lines, topic, _words(topic, rng))


def _words(topic: np.ndarray, rng: np.random.Generator) -> list[str]:
    parts = np.array([first + second for first in "bdfglmnprst" for second in ("a", "e", "i", "o", "u")])
    made = np.char.add(np.char.add(rng.choice(parts, 400), rng.choice(parts, 400)), rng.choice(parts, 400))
    own = (
        topic[:, None] * WORDS_A_TOPIC + rng.integers(WORDS_A_TOPIC, size=(len(topic), 2))
    ) % 300  # the last hundred words belong to no topic
    chosen = np.column_stack([made[own], made[300 + rng.integers(100, size=len(topic))]])
    return [" ".join(row) for row in chosen.tolist()]
