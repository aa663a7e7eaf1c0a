"""What must hold in every data set of interactions, whoever made it."""

from __future__ import annotations

import numpy as np

from remeasure.datasets.common.interactions import Interactions, Items, Log, Rows, Split, training_rows


def check_items(items: Items) -> None:
    count = len(items)
    assert len(np.unique(items.ids)) == count == len(items.text), "an id stands twice"
    for index, names in ((items.account, items.accounts), (items.conversion, items.conversions)):
        assert index.dtype == np.int64 and index.shape == (count,)
        assert ((index >= 0) & (index < len(names))).all(), "an account or conversion type without a name"
    for array in (items.price, items.vectors, items.sids):
        assert array is None or (len(array) == count and np.isfinite(array).all())


def check_log(log: Log, items: int) -> None:
    assert log.offsets[0] == 0 and log.offsets[-1] == len(log) and (np.diff(log.offsets) >= 0).all()
    assert (log.offsets.dtype, log.item.dtype, log.value.dtype) == (np.int64, np.int64, np.float64)
    assert ((log.item >= 0) & (log.item < items)).all(), "an item that is none"
    assert np.isfinite(log.value).all() and (log.value >= 0).all(), "a value below 0"
    assert np.isin(log.depth, (0, 1)).all()
    inner = np.ones(len(log), dtype=bool)
    inner[log.offsets[:-1][np.diff(log.offsets) > 0]] = False
    assert (np.diff(log.time, prepend=log.time[:1])[inner] >= 0).all(), "events out of order"
    assert (np.diff(log.basket) >= 0).all(), "a basket is torn apart"
    assert len(np.unique(log.basket * items + log.item)) == len(log), "an item twice in a basket"
    assert (np.diff(log.basket)[~inner[1:]] > 0).all(), "a basket of two users"


def check_rows(rows: Rows, items: int, users: int) -> None:
    assert (rows.start < rows.end).all(), "an empty history"
    owner = np.searchsorted(rows.log.offsets, rows.start, side="right") - 1
    assert (rows.end <= rows.log.offsets[owner + 1]).all(), "a history of two users"
    assert (rows.log.time[rows.end - 1] <= rows.time).all(), "a history after its row"
    assert ((rows.user >= 0) & (rows.user < users)).all()
    assert (np.diff(rows.offsets) >= 1).all() and rows.offsets[-1] == len(rows.item) == len(rows.value)
    assert ((rows.item >= 0) & (rows.item < items)).all() and (rows.value >= 0).all()
    assert len(np.unique(rows.row() * items + rows.item)) == len(rows.item), "a target twice in a row"


def check_split(split: Split, users: int) -> None:
    check_items(split.items)
    check_log(split.train, len(split.items))
    check_rows(split.rows, len(split.items), users)
    check_rows(training_rows(split.train), len(split.items), users)
    assert len(split.rows), "no rows"


def check(data: Interactions) -> None:
    assert len(np.unique(data.users)) == len(data.users)
    check_split(data.validation, len(data.users))
    check_split(data.test, len(data.users))


def equal(first: Split, second: Split) -> bool:
    """Whether two splits hold the same numbers."""

    def numbers(split: Split) -> list[np.ndarray]:
        rows, train = split.rows, split.train
        return [
            train.offsets,
            train.item,
            train.value,
            train.time,
            rows.start,
            rows.end,
            rows.item,
            rows.value,
        ]

    return all(
        a.shape == b.shape and (a == b).all() for a, b in zip(numbers(first), numbers(second), strict=True)
    )
