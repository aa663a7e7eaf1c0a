"""What each market holds and what it can serve as."""

import numpy as np
import pandas as pd

from .markets import Market, Markets


def describe(markets: Markets) -> pd.DataFrame:
    """One row a market, indexed by name: counts of its files (0 where there is none) and `serves_as`.

    `union` counts the distinct pairs of train and 5-core, `core_only` those of the 5-core that train lacks.
    """
    rows = [_row(market) for market in markets.values()]
    return pd.DataFrame(rows, index=pd.Index(list(markets), name="market"))


def serves_as(market: Market) -> str:
    """The roles that the market's files allow."""
    if market.valid_qrel is None:
        return "source"
    if market.valid_run is not None:
        return "source; target with official lists"
    if market.train_5core is not None:
        return "source; target with resampled lists only"
    return "source"


def _row(market: Market) -> dict[str, int | str]:
    row: dict[str, int | str] = {}
    tables = market.tables()
    keys = {}
    for name in ("train", "train_5core", "valid_qrel"):
        table = tables.get(name)
        coded = market.coded.tables.get(name)
        if table is None or coded is None:
            row |= {f"{name}_{what}": 0 for what in ("rows", "users", "items", "duplicates")}
            keys[name] = np.empty(0, dtype=np.int64)
            continue
        keys[name] = np.unique(coded.users * len(market.coded.items) + coded.items)
        row |= {
            f"{name}_rows": len(table),
            f"{name}_users": len(np.unique(coded.users)),
            f"{name}_items": len(np.unique(coded.items)),
            f"{name}_duplicates": len(table) - len(keys[name]),
        }
    row["union"] = len(np.union1d(keys["train"], keys["train_5core"]))
    row["core_only"] = len(np.setdiff1d(keys["train_5core"], keys["train"]))
    for name, lists in (("valid_run", market.valid_run), ("test_run", market.test_run)):
        row[f"{name}_users"] = 0 if lists is None else len(lists.users)
        row[f"{name}_items"] = 0 if lists is None else len(np.setdiff1d(lists.items, [""]))
    row["serves_as"] = serves_as(market)
    return row
