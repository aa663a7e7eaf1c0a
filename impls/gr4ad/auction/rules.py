"""Bidding rules: what to bid for an auction, given its predicted click rate and, for some, time and budget left.

All of them answer for many auctions of different episodes at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rule = Callable[[int, np.ndarray, np.ndarray], np.ndarray]
"""(auctions left, this one included; int64 [E] budgets left; float64 [E] predicted click rates) → int64 [E] bids."""


@dataclass(frozen=True)
class Linear:
    """A fixed price for a predicted click, whatever is left."""

    per_click: float
    """Bid for a click rate of 1, in the log's price unit."""

    def __call__(self, left: int, budget: np.ndarray, pctr: np.ndarray) -> np.ndarray:
        return np.floor(self.per_click * pctr).astype(np.int64)


def mcpc(cost: int, clicks: int) -> Linear:
    """The most that a click may cost is what one cost in training."""
    return Linear(cost / clicks)


def lin_bid(base: float, click_rate: float) -> Linear:
    """`base` for an auction of the mean click rate, in proportion for others."""
    return Linear(base / click_rate)


@dataclass(frozen=True, eq=False)
class Dynamic:
    """rlb: bids as long as the predicted click is worth more than the budget that it may cost.

    The largest a with pCTR + V_{n−1}(b − δ) − V_{n−1}(b) ≥ 0 for all δ ≤ a. V grows with b, so a bisection finds it.
    """

    table: np.ndarray
    """float64 [auctions + 1, budget + 1], from `value.value_table`."""
    highest: int = 300
    """No bid is higher."""
    click_rate: float | None = None
    """Where given, it stands for every prediction: ss_mdp."""

    def __call__(self, left: int, budget: np.ndarray, pctr: np.ndarray) -> np.ndarray:
        value = self.table[left - 1]
        worth = pctr if self.click_rate is None else self.click_rate
        lowest = np.searchsorted(value, value[budget] - worth)
        bids: np.ndarray = np.minimum(budget - np.minimum(lowest, budget), self.highest)
        return bids
