"""Files of the auctions as arrays; what is wrong with one is said by file, row and field."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

from .log import Campaign, Log

HIGHEST = 300
"""No price is higher."""
FIELDS = ("clicked", "winning price", "predicted click rate")
TOTALS = {
    "train_impressions": "imp_train",
    "train_clicks": "clk_train",
    "train_cost": "cost_train",
    "test_impressions": "imp_test",
    "test_clicks": "clk_test",
    "test_cost": "cost_test",
}
HISTOGRAM = "price_counter_train"


def read_log(path: Path) -> Log:
    """Lines of three fields: 0 or 1, a whole price from 0 to 300, a rate from 0 to 1."""
    try:
        table = pd.read_csv(
            path, sep=" ", header=None, dtype=str, keep_default_na=False, skip_blank_lines=False
        )
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put it there.") from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path.name} is no readable text of auctions ({str(error).strip()}); mend it."
        ) from None
    if table.shape[1] != len(FIELDS):
        raise UserError(
            f"{path.name}: {table.shape[1]} fields a row; write {', '.join(FIELDS)} with a space between."
        )
    numbers = [
        pd.to_numeric(table[place], errors="coerce").to_numpy(np.float64) for place in range(len(FIELDS))
    ]
    rules = (
        (np.isin(numbers[0], (0, 1)), "0 or 1"),
        (
            (numbers[1] >= 0) & (numbers[1] <= HIGHEST) & (numbers[1] % 1 == 0),
            f"a whole number, 0 to {HIGHEST}",
        ),
        ((numbers[2] >= 0) & (numbers[2] <= 1), "a number from 0 to 1"),
    )
    for place, (right, wanted) in enumerate(rules):
        wrong = np.flatnonzero(~right)
        if len(wrong):
            cell = table[place].iloc[wrong[0]]
            raise UserError(f"{path.name}, row {wrong[0] + 1}: {FIELDS[place]} is {cell!r}; write {wanted}.")
    return Log(numbers[0] == 1, numbers[1].astype(np.int64), numbers[2])


def read_campaign(path: Path) -> Campaign:
    """Totals and histogram; they must agree on impressions and cost."""
    try:
        raw = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} is no readable JSON ({error}); write it again.") from None
    if not isinstance(raw, dict):
        raise UserError(f"{path.name} is no JSON object; write the totals of a campaign.")
    for field in TOTALS.values():
        if type(raw.get(field)) is not int or raw[field] < 0:
            raise UserError(f"{path.name}: {field} is {raw.get(field)}; write a whole number of at least 0.")
    counts = raw.get(HISTOGRAM)
    if (
        not isinstance(counts, list)
        or len(counts) != HIGHEST + 1
        or not all(type(n) is int and n >= 0 for n in counts)
    ):
        raise UserError(
            f"{path.name}: {HISTOGRAM} must be a list of {HIGHEST + 1} counts, prices 0 to {HIGHEST}."
        )
    prices = np.array(counts, dtype=np.int64)
    sums = {"imp_train": int(prices.sum()), "cost_train": int(prices @ np.arange(HIGHEST + 1))}
    for field, total in sums.items():
        if total != raw[field]:
            raise UserError(
                f"{path.name}: {field} is {raw[field]}, its {HISTOGRAM} says {total}; make them equal."
            )
    return Campaign(
        name=path.name.removesuffix("_info.json"),
        prices=prices,
        **{name: raw[field] for name, field in TOTALS.items()},
    )
