"""Products as items: text, brand, price and vector where there are any, semantic id."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from remeasure.datasets.common.interactions import Items
from remeasure.datasets.common.sids import read_pairs, read_sids, sid_strings
from remeasure.errors import UserError

from .layout import Files


def read_items(files: Files) -> Items:
    """The items in the order of item.json; the text is title and description, the account the brand.

    Raises UserError, naming file, item and field, for an item without id, id twice, without title, with a price or
    vector that is negative or no finite number, and, where there are semantic ids, for ones that are not one a product
    and of one length.
    """
    pairs = read_pairs(files.item)
    ids = [item for item, _ in pairs]
    for item, content in pairs:
        if not isinstance(content, dict) or not str(content.get("title") or "").strip():
            raise UserError(f"{files.item.name}: item {item} has no title; give every item one.")
    titles = [str(content["title"]) for _, content in pairs]
    texts = [
        f"{title}\n{content.get('description') or ''}".strip()
        for title, (_, content) in zip(titles, pairs, strict=True)
    ]
    brands, brand = np.unique([str(content.get("brand") or "") for _, content in pairs], return_inverse=True)
    sids = read_sids(files.index, ids) if files.index else None
    if files.info and sids is not None:
        _compare(files.info, ids, titles, sid_strings(sids))
    return Items(
        ids=np.array(ids),
        text=np.array(texts, dtype=object),
        account=brand.astype(np.int64),
        accounts=brands,
        conversion=np.zeros(len(ids), dtype=np.int64),
        conversions=("review",),
        price=_prices(files.item, pairs),
        vectors=_vectors(files.vectors, ids) if files.vectors else None,
        sids=sids,
    )


def _prices(path: Path, pairs: list[tuple[str, Any]]) -> np.ndarray | None:
    """float64 [N], or None where no item has a price."""
    if not any("price" in content for _, content in pairs):
        return None
    prices = np.zeros(len(pairs))
    for place, (item, content) in enumerate(pairs):
        price = content.get("price")
        if not isinstance(price, int | float) or isinstance(price, bool):
            raise UserError(
                f"{path.name}: the price of item {item} is {price}; give a number for every item or for none."
            )
        if not math.isfinite(price) or price < 0:
            raise UserError(
                f"{path.name}: the price of item {item} is {price}; give a finite number of at least 0."
            )
        prices[place] = price
    return prices


def _vectors(path: Path, ids: list[str]) -> np.ndarray:
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name} is no readable array ({error}); write it with numpy.save.") from None
    if vectors.ndim != 2 or len(vectors) != len(ids) or vectors.dtype.kind != "f":
        raise UserError(
            f"{path.name} holds {vectors.dtype} {vectors.shape}; give a row of floats "
            f"for each of the {len(ids)} items."
        )
    wrong = np.argwhere(~np.isfinite(vectors))
    if len(wrong):
        row, column = wrong[0]
        raise UserError(
            f"{path.name}, row {row + 1}: the vector of item {ids[row]} is {vectors[row, column]} at place "
            f"{column + 1}; give finite numbers."
        )
    single: np.ndarray = vectors.astype(np.float32)
    return single


def _compare(path: Path, ids: list[str], titles: list[str], sids: np.ndarray) -> None:
    """info.txt must say of the items what the other two files say."""
    known = {item: (sid, title) for item, sid, title in zip(ids, sids, titles, strict=True)}
    for row, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise UserError(
                f"{path.name}, row {row}: {len(fields)} fields; write SID, title and id, tab separated."
            )
        sid, _, item = fields
        if item not in known:
            raise UserError(f"{path.name}, row {row}: id {item} is no item of item.json; mend the row.")
        if sid != known[item][0]:
            raise UserError(
                f"{path.name}, row {row}: the SID of item {item} is {sid}, index.json has {known[item][0]}; "
                "make them equal."
            )
