"""A made-up log of auctions."""

from __future__ import annotations

import numpy as np

from .log import Campaign, Log
from .request import Request

MEDIAN_PRICE, SPREAD = 32.0, 1.0
"""Of the lognormal law of prices."""
CLICK_RATE = 0.0034


def simulate(request: Request) -> tuple[Campaign, Log]:
    """Twice as many training auctions as test auctions, by the same laws; predictions are right on average."""
    rng = np.random.default_rng([9, request.seed])
    train, test = (_log(rng, count) for count in (2 * request.auctions, request.auctions))
    campaign = Campaign(
        name="simulated",
        prices=np.bincount(train.price, minlength=301).astype(np.int64),
        train_impressions=len(train.price),
        train_clicks=int(train.clicked.sum()),
        train_cost=int(train.price.sum()),
        test_impressions=len(test.price),
        test_clicks=int(test.clicked.sum()),
        test_cost=int(test.price.sum()),
    )
    return campaign, test


def _log(rng: np.random.Generator, count: int) -> Log:
    price = np.clip(np.rint(rng.lognormal(np.log(MEDIAN_PRICE), SPREAD, count)), 0, 300).astype(np.int64)
    pctr = np.minimum(rng.lognormal(np.log(CLICK_RATE) - 0.125, 0.5, count), 1.0)
    return Log(rng.random(count) < pctr, price, pctr)
