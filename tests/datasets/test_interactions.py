"""Logs, rows and histories as arrays: what plain loops say, they say."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interaction_checks import check_log, check_rows

from remeasure.datasets.common.baskets import log_of, next_baskets
from remeasure.datasets.common.interactions import Items, Log, Split, training_rows

USERS, ITEMS = 4, 6
Lines = list[tuple[int, int, int, int, int]]


@st.composite
def lines_of(draw: st.DrawFn) -> pd.DataFrame:
    """Lines of baskets that each belong to one user and one time."""
    baskets = draw(st.lists(st.tuples(st.integers(0, USERS - 1), st.integers(0, 9)), min_size=1, max_size=8))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, len(baskets) - 1),
                st.integers(0, ITEMS - 1),
                st.integers(-2, 5),
                st.integers(0, 1),
            ),
            min_size=1,
            max_size=25,
        )
    )
    return pd.DataFrame(
        {
            "user": [baskets[basket][0] for basket, *_ in rows],
            "item": [item for _, item, *_ in rows],
            "value": [float(value) for _, _, value, _ in rows],
            "depth": [depth for *_, depth in rows],
            "time": [float(baskets[basket][1]) for basket, *_ in rows],
            "basket": [basket for basket, *_ in rows],
        }
    )


def by_hand(lines: pd.DataFrame) -> dict[int, list[tuple[float, dict[int, float]]]]:
    """Per user the baskets in order: time, and value by item."""
    baskets: dict[int, tuple[int, float, dict[int, float]]] = {}
    for user, item, value, _, time, basket in lines.itertuples(index=False):
        content = baskets.setdefault(basket, (user, time, {}))[2]
        content[item] = content.get(item, 0.0) + max(value, 0.0)
    found: dict[int, list[tuple[float, dict[int, float]]]] = {user: [] for user in range(USERS)}
    for basket in sorted(baskets, key=lambda number: (baskets[number][1], number)):
        user, time, content = baskets[basket]
        found[user].append((time, content))
    return found


@given(lines_of())
def test_a_log_holds_each_users_baskets_in_order_with_values_added_up(lines: pd.DataFrame) -> None:
    log = log_of(lines, USERS)
    check_log(log, ITEMS)
    starts = log.starts()
    found: dict[int, list[tuple[float, dict[int, float]]]] = {user: [] for user in range(USERS)}
    for start, end in pairwise(starts.tolist()):
        content = dict(zip(log.item[start:end].tolist(), log.value[start:end].tolist(), strict=True))
        found[int(log.user()[start])].append((float(log.time[start]), content))
    assert found == by_hand(lines)


@given(lines_of(), st.integers(1, 6), st.integers(1, 5))
def test_rows_are_the_first_baskets_of_a_span_after_the_history_before_it(
    lines: pd.DataFrame, begin: int, length: int
) -> None:
    log = log_of(lines, USERS)
    train = log.before(begin)
    check_log(train, ITEMS)
    rows = next_baskets(log, train, begin, begin + length)
    check_rows(rows, ITEMS, USERS)
    expected = {}
    for user, baskets in by_hand(lines).items():
        past = [item for time, content in baskets if time < begin for item in content]
        coming = [content for time, content in baskets if begin <= time < begin + length]
        if past and coming:
            expected[user] = (past, coming[0])
    assert rows.user.tolist() == sorted(expected)
    for number, user in enumerate(rows.user.tolist()):
        past, coming_content = expected[user]
        assert train.item[rows.start[number] : rows.end[number]].tolist() == past
        targets = slice(rows.offsets[number], rows.offsets[number + 1])
        assert (
            dict(zip(rows.item[targets].tolist(), rows.value[targets].tolist(), strict=True))
            == coming_content
        )
        assert rows.new()[targets].tolist() == [item not in past for item in rows.item[targets].tolist()]


@given(lines_of(), st.integers(1, 4))
def test_histories_are_the_last_events_with_the_latest_last(lines: pd.DataFrame, size: int) -> None:
    log = log_of(lines, USERS)
    rows = training_rows(log)
    check_rows(rows, ITEMS, USERS)
    last, spent = rows.last(size), rows.spent()
    for number in range(len(rows)):
        past = slice(rows.start[number], rows.end[number])
        items = log.item[past].tolist()[-size:]
        assert last.item[number].tolist() == [-1] * (size - len(items)) + items
        ages = (rows.time[number] - log.time[past]).tolist()[-size:]
        assert last.age[number].tolist() == [0.0] * (size - len(items)) + ages
        assert spent[number] == pytest.approx(log.value[past].sum())
    assert len(rows) == sum(max(len(baskets) - 1, 0) for baskets in by_hand(lines).values())


@given(lines_of(), st.data())
def test_a_selection_of_rows_keeps_their_targets(lines: pd.DataFrame, data: st.DataObject) -> None:
    rows = training_rows(log_of(lines, USERS))
    if not len(rows):
        return
    wanted = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=5)))
    chosen = rows.select(wanted)
    check_rows(chosen, ITEMS, USERS)
    targets = [rows.item[rows.offsets[row] : rows.offsets[row + 1]].tolist() for row in wanted]
    assert [
        chosen.item[start:end].tolist()
        for start, end in zip(chosen.offsets[:-1], chosen.offsets[1:], strict=True)
    ] == targets
    mask = np.zeros(len(rows), dtype=bool)
    mask[wanted] = True
    assert rows.select(mask).user.tolist() == rows.user[mask].tolist()


def test_values_are_capped_by_what_training_holds_and_cold_items_are_those_it_lacks() -> None:
    lines = pd.DataFrame(
        {
            "user": 0,
            "item": [0, 1, 0, 2],
            "value": [1.0, 3.0, 2.0, 500.0],
            "depth": 0,
            "time": [0.0, 1.0, 2.0, 2.0],
            "basket": [0, 1, 2, 2],
        }
    )
    log = log_of(lines, 1)
    train = log.before(2)
    split = Split("test", items(3), train, next_baskets(log, train, 2, 3))
    assert split.cap == pytest.approx(np.quantile([1.0, 3.0], 0.99))
    assert split.capped().tolist() == [2.0, pytest.approx(split.cap)]
    assert split.cold().tolist() == [False, True] and split.rows.new().tolist() == [False, True]


def items(count: int) -> Items:
    nothing = np.zeros(count, dtype=np.int64)
    names = np.arange(count).astype(str)
    return Items(names, names.astype(object), nothing, np.array(["all"]), nothing, ("sale",))


FAULTS = {
    "a basket is torn apart": lambda log: replace(log, basket=log.basket[::-1]),
    "events out of order": lambda log: replace(log, time=-log.time),
    "a value below 0": lambda log: replace(log, value=log.value - 10),
    "an item that is none": lambda log: replace(log, item=log.item + ITEMS),
    "an item twice in a basket": lambda log: replace(
        log, basket=np.zeros_like(log.basket), item=log.item * 0
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_check_finds_a_wrong_log(fault: str) -> None:
    log = Log(*(np.array(x) for x in ([0, 3], [1, 2, 3], [1.0, 1, 1], [0, 0, 0], [1.0, 2, 3], [0, 1, 2])))
    check_log(log, ITEMS)
    with pytest.raises(AssertionError, match=fault):
        check_log(FAULTS[fault](log), ITEMS)
