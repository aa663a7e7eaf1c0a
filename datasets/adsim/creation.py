"""How a world is drawn."""

from __future__ import annotations

import numpy as np

from remeasure.errors import UserError

from .constants import Constants
from .request import Request
from .world import Ads, World, unit

LEAST_ADS = 10
"""As many as the longest list has."""


def create(request: Request, laws: Constants, rng: np.random.Generator) -> World:
    """A world of `request.ads` ads on offer; raises UserError for one that is too small."""
    accounts = request.accounts or max(1, request.ads // 20)
    if request.ads < LEAST_ADS or request.users < 5 or request.requests < 2:
        raise UserError(
            f"adsim: {request.ads} ads, {request.users} users and {request.requests} requests are too few; "
            f"ask for at least {LEAST_ADS}, 5 and 2."
        )
    topics = unit(rng.standard_normal((laws.topics, laws.dim)))
    image = rng.standard_normal((laws.dim, laws.content_dim)) / np.sqrt(laws.dim)
    account_bid = rng.normal(0.0, laws.account_spread, accounts)
    ads = draw_ads(request.ads, laws, topics, image, account_bid, rng)
    return World(
        constants=laws,
        topics=topics,
        image=image,
        account_bid=account_bid,
        ads=ads,
        live=np.arange(request.ads),
        mixture=_two_topics(request.users, laws.topics, rng),
        user_value=rng.lognormal(0.0, laws.user_value, request.users),
    )


def draw_ads(
    count: int,
    laws: Constants,
    topics: np.ndarray,
    image: np.ndarray,
    account_bid: np.ndarray,
    rng: np.random.Generator,
) -> Ads:
    """New ads of the accounts there are. An account and a type say nothing about content, nor content about them."""
    mixture = rng.dirichlet(np.full(laws.topics, laws.ad_topics), count)
    latent = unit(mixture @ topics + rng.normal(0.0, laws.ad_spread, (count, laws.dim)))
    share = 1.0 / np.arange(1, len(account_bid) + 1) ** laws.account_skew
    account = rng.choice(len(account_bid), size=count, p=share / share.sum())
    conversion = rng.integers(len(laws.type_pcvr), size=count)
    log_bid = (
        rng.normal(0.0, laws.bid_spread, count) + account_bid[account] + np.asarray(laws.type_bid)[conversion]
    )
    content = latent @ image + rng.normal(0.0, laws.content_noise, (count, laws.content_dim))
    return Ads(
        latent=latent,
        popularity=rng.normal(0.0, laws.popularity, count),
        content=content.astype(np.float32),
        account=account,
        conversion=conversion,
        bid=np.exp(log_bid),
    )


def _two_topics(users: int, topics: int, rng: np.random.Generator) -> np.ndarray:
    """Tastes of two topics each, in shares that are evenly spread from 0 to 1."""
    first = rng.integers(topics, size=users)
    second = (first + rng.integers(1, topics, size=users)) % topics
    share = rng.random(users)
    mixture = np.zeros((users, topics))
    mixture[np.arange(users), first] = share
    mixture[np.arange(users), second] = 1.0 - share
    return mixture
