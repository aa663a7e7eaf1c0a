"""Products as items: text, family, and the band of quantities they are sold in."""

from __future__ import annotations

import numpy as np
import pandas as pd

from remeasure.datasets.common.interactions import Items

BANDS = (2, 6, 12, 24)
"""A median quantity of at least so many pieces begins the next band."""
CONVERSIONS = (
    "not sold in training",
    "1 piece",
    "2 to 5 pieces",
    "6 to 11 pieces",
    "12 to 23 pieces",
    "24 pieces or more",
)


def catalogue(lines: pd.DataFrame) -> Items:
    """All products, by code; nothing about quantities is said yet.

    The text is the most frequent description, the first by alphabet among equally frequent ones; the family, the
    account of an item, is the number its code begins with: letters after it are colours and sizes.
    """
    text = lines["Description"].fillna("").astype(str).str.strip()
    counts = pd.DataFrame({"code": lines["StockCode"], "text": text}).value_counts(sort=False).reset_index()
    counts = counts.sort_values(["code", "count", "text"], ascending=[True, False, True])
    best = counts.drop_duplicates("code")
    codes = best["code"].to_numpy(dtype=str)
    families, family = np.unique(
        pd.Series(codes).str.extract(r"^(\d+)")[0].to_numpy(str), return_inverse=True
    )
    return Items(
        ids=codes,
        text=best["text"].to_numpy(object),
        account=family.astype(np.int64),
        accounts=families,
        conversion=np.zeros(len(codes), dtype=np.int64),
        conversions=CONVERSIONS,
    )


def bands(item: np.ndarray, quantity: np.ndarray, items: int) -> np.ndarray:
    """Band int64 [items] of the median quantity over lines: item int64 [n], pieces float64 [n]."""
    median = pd.Series(quantity).groupby(item).median()
    found = np.zeros(items, dtype=np.int64)
    found[median.index.to_numpy(np.int64)] = 1 + np.searchsorted(BANDS, median.to_numpy(), side="right")
    return found
