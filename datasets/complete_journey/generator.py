"""A made-up grocer as tables like the published ones, so that they are read by the same code."""

from __future__ import annotations

import numpy as np
import pandas as pd

from remeasure.datasets.common.shop import DAY_S, Shop, purchases

from .request import Request

OPENED = pd.Timestamp("2017-01-01").timestamp()
DAYS = 365


def simulate(request: Request) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Products and lines with the published columns; one product in three reads like another of its department."""
    made = purchases(
        Shop(request.households, request.products, DAYS, baskets=12.0, lines=6.0, seed=request.seed)
    )
    rng = np.random.default_rng([8, request.seed])
    count = request.products
    like = _like_another(made.topic, rng)
    words = np.array([words.split() for words in made.words])[like]
    products = pd.DataFrame(
        {
            "product_id": 1_000 + 3 * np.arange(count),
            "manufacturer_id": 1 + np.minimum(rng.zipf(1.5, count), max(count // 15, 1)),
            "department": np.char.add("D", made.topic.astype(str)),
            "brand": np.where(rng.random(count) < 0.2, "Private", "National"),
            "product_category": words[:, 0],
            "product_type": np.char.add(np.char.add(words[:, 0], " "), words[:, 1]),
            "package_size": np.char.add(rng.integers(1, 17, count).astype(str), " OZ")[like],
        }
    )
    lines = made.lines
    coupon = np.where(rng.random(len(lines)) < 0.02, 0.5, 0.0)
    time = OPENED + lines["time"].to_numpy()
    table = pd.DataFrame(
        {
            "household_id": 1 + lines["user"],
            "basket_id": lines["basket"],
            "product_id": products["product_id"].to_numpy()[lines["item"]],
            "sales_value": np.round(lines["quantity"] * lines["price"] - coupon, 2),
            "coupon_disc": coupon,
            "coupon_match_disc": 0.0,
            "week": 1 + ((lines["time"] + 6 * DAY_S) // (7 * DAY_S)).astype(np.int64),
            "transaction_timestamp": time,
        }
    )
    return products, table


def _like_another(topic: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """int64 [N], whose text each product has: its own, or, one time in three, that of the one before of its topic."""
    order = np.argsort(topic, kind="stable")
    before = np.arange(len(topic))
    before[order[1:]] = np.where(topic[order[1:]] == topic[order[:-1]], order[:-1], order[1:])
    return np.where(rng.random(len(topic)) < 1 / 3, before, np.arange(len(topic)))
