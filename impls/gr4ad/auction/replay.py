"""Logged auctions once more, with other bids: episodes of equally many auctions and the same budget each.

Episodes know nothing of each other, so the first auctions of all of them are bid for together, then the second ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remeasure.datasets.ipinyou_rlb.log import Campaign, Log
from remeasure.errors import UserError

from .rules import Rule

HIGHEST = 300
"""No price is higher."""


@dataclass(frozen=True)
class Outcome:
    """What a rule got for the budgets."""

    auctions: int
    won: int
    clicks: int
    cost: int
    """In the log's price unit."""


def episode_budget(campaign: Campaign, auctions: int, share: int = 32) -> int:
    """What 1 / share of the auctions cost in training, rounded down."""
    return auctions * campaign.train_cost // (share * campaign.train_impressions)


def replay(log: Log, rule: Rule, auctions: int, budget: int) -> Outcome:
    """The log in order, cut into episodes; the last one may be shorter, and no rule is told.

    A bid, at most the budget left, wins where it is at least the winning price, and pays that price.
    """
    if auctions < 1 or budget < 0:
        raise UserError(f"episodes of {auctions} auctions with a budget of {budget}; give at least 1 and 0.")
    price, clicked, pctr = (_episodes(array, auctions) for array in (log.price, log.clicked, log.pctr))
    steps, episodes = price.shape
    whole = len(log.price) - (episodes - 1) * steps
    left = np.full(episodes, budget)
    won = clicks = 0
    for step in range(steps):
        bid = np.minimum(np.minimum(rule(auctions - step, left, pctr[step]), left), HIGHEST)
        wins = bid >= price[step]
        wins[-1] &= step < whole
        left = left - wins * price[step]
        won += int(wins.sum())
        clicks += int((wins & clicked[step]).sum())
    return Outcome(len(log.price), won, clicks, int((budget - left).sum()))


def _episodes(array: np.ndarray, auctions: int) -> np.ndarray:
    """[auctions, episodes], the last episode filled up with zeros."""
    episodes = max(1, -(-len(array) // auctions))
    filled = np.zeros(episodes * auctions, dtype=array.dtype)
    filled[: len(array)] = array
    return np.ascontiguousarray(filled.reshape(episodes, auctions).T)
