"""A made-up shop as a table like the published one, so that it is read by the same code."""

from __future__ import annotations

import numpy as np
import pandas as pd

from remeasure.datasets.common.shop import Shop, purchases

from .request import Request

OPENED = pd.Timestamp("2010-12-01")
DAYS = 374


def simulate(request: Request) -> pd.DataFrame:
    """Lines of invoices with the published columns; four products make a family."""
    made = purchases(
        Shop(request.customers, request.products, DAYS, baskets=6.0, lines=8.0, seed=request.seed)
    )
    lines = made.lines
    # A family is of one topic as far as that goes around: colours and sizes of one thing.
    place = np.argsort(np.argsort(made.topic, kind="stable"), kind="stable")
    codes = np.array([f"{20_000 + at // 4}{'ABCD'[at % 4]}" for at in place.tolist()])
    item = lines["item"].to_numpy()
    return pd.DataFrame(
        {
            "InvoiceNo": (500_000 + lines["basket"]).astype(str),
            "StockCode": codes[item],
            "Description": np.array([words.upper() for words in made.words], dtype=object)[item],
            "Quantity": lines["quantity"].astype(np.float64),
            "InvoiceDate": OPENED + pd.to_timedelta(lines["time"], unit="s"),
            "UnitPrice": lines["price"],
            "CustomerID": 12_000.0 + lines["user"],
            "Country": "Nowhere",
        }
    )
