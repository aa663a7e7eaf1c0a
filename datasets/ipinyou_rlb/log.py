"""What is known of auctions: a log of them in order, and totals of a campaign."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Campaign:
    """Totals of a campaign's days; prices are whole numbers, as in the log."""

    name: str
    prices: np.ndarray
    """int64 [301], training auctions won at each price 0 to 300."""
    train_impressions: int
    train_clicks: int
    train_cost: int
    test_impressions: int
    test_clicks: int
    test_cost: int


@dataclass(frozen=True, eq=False)
class Log:
    """Auctions of test days, in order."""

    clicked: np.ndarray
    """bool [n]."""
    price: np.ndarray
    """int64 [n], the winning price: a bid of at least as much wins and pays it."""
    pctr: np.ndarray
    """float64 [n], a given prediction of the click rate, 0 to 1."""
