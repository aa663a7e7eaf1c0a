"""Products as items: text, manufacturer as account, brand and department as conversion type."""

from __future__ import annotations

import numpy as np
import pandas as pd

from remeasure.datasets.common.interactions import Items

TEXT = ("department", "product_category", "product_type", "package_size")
"""Fields that make an item's text: 18,875 different ones, so many products differ only in who sells them."""


def catalogue(products: pd.DataFrame) -> Items:
    """All products, by id."""
    table = products.sort_values("product_id", ignore_index=True)
    text = table[TEXT[0]].str.cat(table[list(TEXT[1:])], sep=", ")
    makers, maker = np.unique(table["manufacturer_id"], return_inverse=True)
    kind = table["brand"].str.cat(table["department"], sep=" brand, ")
    kinds, conversion = np.unique(kind.to_numpy(str), return_inverse=True)
    return Items(
        ids=table["product_id"].to_numpy().astype(str),
        text=text.to_numpy(object),
        account=maker.astype(np.int64),
        accounts=makers.astype(str),
        conversion=conversion.astype(np.int64),
        conversions=tuple(kinds.tolist()),
    )
