"""Online Retail as baskets: each customer's next invoice after a moment, and what came before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.datasets.common.baskets import log_of, next_baskets
from remeasure.datasets.common.interactions import Interactions, Items, Log, Split
from remeasure.errors import UserError

from .lines import cleaned, products, read_lines
from .products import bands, catalogue
from .request import Request

__all__ = ["Request", "Retail", "load"]

VALIDATION, TEST, END = (pd.Timestamp(day) for day in ("2011-10-01", "2011-11-01", "2012-01-01"))
"""Validation rows are first invoices of October 2011, test rows the first from November on."""
FIRST_MONTH = pd.Timestamp("2011-04-01")
"""The last month learned from in the first step of continual learning."""
SIMULATED = (
    "no real data: a made-up shop with the calendar of Online Retail; it says nothing about real customers"
)


@dataclass(frozen=True, eq=False)
class Retail(Interactions):
    """Online Retail: items are products, accounts families of products, conversion types bands of quantities."""

    catalogue: Items
    """Products without bands."""
    log: Log
    """All baskets."""
    lines: pd.DataFrame
    """item (int64), quantity, time (float64): the lines from which bands are made."""

    def split(self, name: str, begin: pd.Timestamp, end: pd.Timestamp) -> Split:
        """Training before `begin`, and each customer's first invoice from then until before `end`."""
        train = self.log.before(_seconds(begin))
        before = self.lines[self.lines["time"] < _seconds(begin)]
        items = replace(
            self.catalogue,
            conversion=bands(before["item"].to_numpy(), before["quantity"].to_numpy(), len(self.catalogue)),
        )
        return Split(name, items, train, next_baskets(self.log, train, _seconds(begin), _seconds(end)))

    def months(self) -> Iterator[Split]:
        """Steps of continual learning: trained to the end of a month, from April 2011 on, and tested on the next.

        A split is named by the month that it tests, such as 2011-05.
        """
        last = self.log.time.max()
        begin = FIRST_MONTH + pd.DateOffset(months=1)
        while _seconds(begin) <= last:
            end = begin + pd.DateOffset(months=1)
            yield self.split(f"{begin:%Y-%m}", begin, end)
            begin = end


def load(request: Request, root: Path | None) -> Retail:
    """The invoices in `root`, or a made-up shop where it is None.

    Raises UserError for a file that is not such a table, with row and field, and for one without customers who return.
    """
    if root is None:
        from .generator import simulate

        raw, first = simulate(request), SIMULATED
    else:
        raw, first = read_lines(root)
    clean = cleaned(raw)
    sold = products(clean)
    if not len(sold):
        raise UserError(f"{root}: no line has a customer, a product code, a quantity and a price; add lines.")
    items = catalogue(sold)
    users, user = np.unique(sold["CustomerID"].astype(np.int64), return_inverse=True)
    basket, _ = pd.factorize(sold["InvoiceNo"].astype(str), sort=True)
    lines = pd.DataFrame(
        {
            "user": user,
            "item": np.searchsorted(items.ids, sold["StockCode"].to_numpy(str)),
            "value": sold["Quantity"] * sold["UnitPrice"],
            "depth": 0,
            "time": _clock(sold["InvoiceDate"]),
            "basket": basket,
        }
    )
    log = log_of(lines, len(users))
    notes = (
        first,
        f"{len(clean):,} of {len(raw):,} lines have a customer, a quantity and a price above 0; "
        f"{len(clean) - len(sold):,} of them are postage or fees and left out",
    )
    quantities = lines[["item", "time"]].assign(quantity=sold["Quantity"])
    nothing = Split("", items, log, next_baskets(log, log, np.inf, np.inf))
    data = Retail(
        label="Online Retail" + (", simulated" if root is None else ""),
        simulated=root is None,
        notes=notes,
        clock="seconds",
        currency="£",
        users=users.astype(str),
        validation=nothing,
        test=nothing,
        catalogue=items,
        log=log,
        lines=quantities,
    )
    validation, test = data.split("validation", VALIDATION, TEST), data.split("test", TEST, END)
    if not len(validation.rows) or not len(test.rows):
        raise UserError(
            f"{root}: no customer has an invoice both before and in October 2011, or both before and after "
            "1 November 2011; give invoices of that time."
        )
    return replace(data, validation=validation, test=test)


def _seconds(moment: pd.Timestamp) -> float:
    return moment.timestamp()


def _clock(dates: pd.Series) -> np.ndarray:
    """Seconds since 1970 as the shop's clock shows them, float64 [n]."""
    return dates.astype("datetime64[s]").astype(np.int64).to_numpy(np.float64)
