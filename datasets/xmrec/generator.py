"""Simulated markets in the layout of the real ones: for tests, for growth curves, and where no real data are.

A purchase is made in two steps: the user picks one of a few topics of interest, then an item of that topic.
The topics' item weights come from latent item factors, which markets share on the common part of their
catalogues; popularity is each market's own. So a source market tells which items go together, not which sell.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from remeasure.errors import UserError

from .lists import Pairs, Users, draw_lists
from .markets import Lists, Market, Markets

# Shares of one to five stars among the purchases of the real t1, from its published file.
STARS = (0.057, 0.036, 0.057, 0.133, 0.717)
# Share of 5-core pairs that the real train files lack (t1: 1,624 of 19,483).
ORPHANS = 0.08


@dataclass(frozen=True)
class Generator:
    """Which markets to simulate; the defaults give each target about the size of the real t1."""

    sources: tuple[str, ...]
    """Names of the source markets."""
    targets: tuple[str, ...]
    """Names of the target markets; only these have test lists."""
    users: int = 9_700
    """Users of a target market, before those without a purchase are lost."""
    source_size: float = 1.5
    """Users of a source market as a multiple of `users`."""
    items: int = 3_400
    """Catalogue of every market."""
    overlap: float = 0.8
    """Share of a catalogue that all markets have in common, 0 to 1."""
    relevance: float = 1.0
    """Correlation of the sources' item factors with the targets': 1 the same, 0 unrelated."""
    scarcity: float = 0.0
    """Share of the purchases that target users do not make, 0 to 0.99: thin targets need sources more."""
    interactions: float = 6.0
    """Mean purchases a user, repeated ones counted once."""
    topics: int = 160
    """Latent dimensions: how many topics of interest there are."""
    sharpness: float = 4.0
    """How strongly a topic prefers its items: weight = popularity * exp(sharpness * factor)."""
    popularity: float = 0.8
    """Standard deviation of the log popularity of items."""
    skew: float = 1.0
    """How unequal the topics' shares of users are: like 1 / k**skew, in an order of each market's own."""
    candidates: int = 100
    """Length of the lists."""
    source_lists: bool = True
    """Whether sources have lists too, so that one of them can be chosen as target."""
    seed: int = 0
    """Seed of everything."""


class _World(NamedTuple):
    """What markets share: item factors float64 [pool, topics] and the names of all items, str."""

    factors: np.ndarray
    names: np.ndarray


def generate(config: Generator) -> Markets:
    """The simulated markets, sources first. The same config gives the same bytes.

    Raises UserError where the 5-core comes out too small for lists of `candidates`.
    """
    _check(config)
    names = (*config.sources, *config.targets)
    pool = round(config.overlap * config.items)
    world_rng, *streams = (
        np.random.default_rng(s) for s in np.random.SeedSequence(config.seed).spawn(len(names) + 1)
    )
    total = pool + len(names) * (config.items - pool)
    # Numbers in random order, so that an id tells neither its market nor its popularity.
    labels = 1_000_000 + world_rng.permutation(total)
    world = _World(world_rng.standard_normal((pool, config.topics)), np.char.add("P", labels.astype(str)))
    markets = {
        name: _market(config, name, world, pool + number * (config.items - pool), rng)
        for number, (name, rng) in enumerate(zip(names, streams, strict=True))
    }
    return Markets(markets)


def _check(config: Generator) -> None:
    names = (*config.sources, *config.targets)
    if not config.targets or len(set(names)) < len(names):
        raise UserError(f"generator: markets {names} need at least one target and distinct names.")
    for field, low, high in (("overlap", 0, 1), ("relevance", 0, 1), ("scarcity", 0, 0.99)):
        if not low <= getattr(config, field) <= high:
            raise UserError(
                f"generator: {field} is {getattr(config, field)}; it must lie in {low} to {high}."
            )


def _market(config: Generator, name: str, world: _World, own_start: int, rng: np.random.Generator) -> Market:
    """One market; `own_start` is the world's number of the first item that only this market sells."""
    is_source = name in config.sources
    factors = rng.standard_normal((config.items, config.topics))
    pool = len(world.factors)
    agreement = config.relevance if is_source else 1.0
    factors[:pool] = agreement * world.factors + np.sqrt(1 - agreement**2) * factors[:pool]
    stock = np.concatenate([np.arange(pool), own_start + np.arange(config.items - pool)])
    item_names = world.names[stock]

    size = round(config.users * (config.source_size if is_source else 1.0))
    mean = config.interactions * (1.0 if is_source else 1.0 - config.scarcity)
    users, items = _purchases(config, factors, size, mean, rng)
    user_names = np.char.add(f"{name}U", (1_000_000 + rng.permutation(size)).astype(str))

    core = _five_core(users, items, size, config.items)
    core_users, core_items = users[core], items[core]
    test, valid = _two_a_user(core_users, rng)
    held = np.union1d(test, valid)
    rest = np.delete(np.arange(len(core_users)), held)
    in_train = np.ones(len(users), dtype=bool)
    in_train[core[held]] = False
    in_train[core[rest[rng.random(len(rest)) < ORPHANS]]] = False
    train = np.flatnonzero(in_train)

    def table(u: np.ndarray, i: np.ndarray, rating: np.ndarray | float) -> pd.DataFrame:
        return pd.DataFrame({"userId": user_names[u], "itemId": item_names[i], "rating": rating})

    listed = core_users[valid]
    row_of = np.full(size, -1, dtype=np.int64)
    row_of[listed] = np.arange(len(listed))
    # The history a user may not be shown: everything but the two held-out purchases, those found by `held`.
    past = np.ones(len(users), dtype=bool)
    past[core[held]] = False
    past &= row_of[users] >= 0
    history = Pairs(row_of[users[past]], items[past])
    catalogue = np.unique(core_items)

    def lists(positives: np.ndarray) -> Lists:
        who = Users(name, user_names[listed])
        drawn = draw_lists(rng, who, catalogue, history, positives, config.candidates)
        return Lists(who.names, item_names[drawn])

    with_lists = config.source_lists or not is_source
    return Market(
        name,
        train=table(users[train], items[train], rng.choice(np.arange(1.0, 6.0), size=len(train), p=STARS)),
        train_5core=table(core_users[rest], core_items[rest], 1.0),
        valid_qrel=table(listed, core_items[valid], 1.0),
        valid_run=lists(core_items[valid]) if with_lists else None,
        test_run=None if is_source else lists(core_items[test]),
    )


def _purchases(
    config: Generator, factors: np.ndarray, size: int, mean: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Distinct (user, item) pairs in random order, int64 each: about `size * mean` of them."""
    popularity = rng.normal(0.0, config.popularity, size=len(factors))
    logits = popularity[:, None] + config.sharpness * factors
    weights = np.exp(logits - logits.max(axis=0))
    # One cumulative curve over all topics: topic k occupies (k, k + 1].
    curve = np.cumsum(weights, axis=0)
    curve = (curve / curve[-1]).T + np.arange(config.topics)[:, None]

    # A heavy-tailed number of purchases. Repeats are lost below, hence the surplus.
    counts = 1 + rng.poisson((1.25 * mean - 1) * rng.lognormal(-0.6, 1.1, size=size))
    users = np.repeat(np.arange(size), counts)
    # Two topics a user, the first visited three times as often.
    shares = rng.permutation(1.0 / np.arange(1, config.topics + 1) ** config.skew)
    favourite = rng.choice(config.topics, size=(size, 2), p=shares / shares.sum())
    topic = favourite[users, (rng.random(len(users)) < 0.25).astype(np.int64)]
    draws = np.searchsorted(curve.ravel(), topic + rng.random(len(users)))
    items = np.minimum(draws - topic * len(factors), len(factors) - 1)
    keys = rng.permutation(np.unique(users * len(factors) + items))
    return keys // len(factors), keys % len(factors)


def _five_core(users: np.ndarray, items: np.ndarray, n_users: int, n_items: int) -> np.ndarray:
    """Row numbers of the largest subset in which every user and every item has at least five rows."""
    rows = np.arange(len(users))
    while True:
        keep = (np.bincount(users[rows], minlength=n_users) >= 5)[users[rows]]
        keep &= (np.bincount(items[rows], minlength=n_items) >= 5)[items[rows]]
        if keep.all():
            return rows
        rows = rows[keep]


def _two_a_user(users: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """For each distinct user two different row numbers, uniformly drawn; every user has at least two rows."""
    order = rng.permutation(len(users))
    order = order[np.argsort(users[order], kind="stable")]
    starts = np.flatnonzero(np.diff(users[order], prepend=-1))
    return order[starts], order[starts + 1]
