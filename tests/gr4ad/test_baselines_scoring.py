"""Lists of the best, and histories as weights: what plain loops say, they say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.common.interactions import Rows
from remeasure.datasets.uci_online_retail.loader import load
from remeasure.datasets.uci_online_retail.request import Request
from remeasure.impls.gr4ad.baselines import scoring
from remeasure.impls.gr4ad.baselines.scoring import Scorer, best, events, weights

SHOP = load(Request(customers=80, products=40), None)
ROWS, ITEMS = SHOP.test.rows, len(SHOP.test.items)


@dataclass(frozen=True)
class ByNumber(Scorer):
    """Items with a greater number are better."""

    def scores(self, rows: Rows) -> np.ndarray:
        return np.tile(np.arange(ITEMS, dtype=np.float32), (len(rows), 1))


@given(st.lists(st.lists(st.integers(0, 3), min_size=5, max_size=5), min_size=1), st.integers(1, 7))
def test_the_best_are_those_of_a_stable_sort(numbers: list[list[int]], k: int) -> None:
    scores = np.array(numbers, dtype=np.float32)
    item, value = best(scores, k)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    assert (item == expected).all()
    assert (value == np.take_along_axis(scores, expected, axis=1)).all()


def test_what_is_no_candidate_ends_the_list() -> None:
    item, value = best(np.array([[-np.inf, 1.0, -np.inf]], dtype=np.float32), 2)
    assert item.tolist() == [[1, -1]] and value.tolist() == [[1.0, -np.inf]]


def test_a_list_longer_than_the_catalogue_ends_with_it() -> None:
    item, value = ByNumber().top(ROWS, ITEMS + 3)
    assert (item[:, :ITEMS] == np.arange(ITEMS)[::-1]).all()
    assert (item[:, ITEMS:] == -1).all() and np.isneginf(value[:, ITEMS:]).all()
    assert item.dtype == np.int64 and value.dtype == np.float32


def test_without_what_was_seen_no_item_of_the_whole_history_is_listed() -> None:
    item, _ = ByNumber().top(ROWS, ITEMS, exclude_seen=True)
    for row in range(len(ROWS)):
        seen = set(ROWS.log.item[ROWS.start[row] : ROWS.end[row]].tolist())
        listed = [place for place in item[row].tolist() if place >= 0]
        assert listed == [place for place in reversed(range(ITEMS)) if place not in seen]


def test_batches_do_not_change_the_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ByNumber().top(ROWS, 5, exclude_seen=True)
    monkeypatch.setattr(scoring, "BATCH", 7)
    parts = ByNumber().top(ROWS, 5, exclude_seen=True)
    assert all((one == other).all() for one, other in zip(whole, parts, strict=True))


def test_no_rows_have_no_lists() -> None:
    item, value = ByNumber().top(ROWS.select(np.arange(0)), 5)
    assert item.shape == value.shape == (0, 5)


def test_events_are_those_of_every_history() -> None:
    row, place = events(ROWS)
    expected = [(r, p) for r in range(len(ROWS)) for p in range(ROWS.start[r], ROWS.end[r])]
    assert list(zip(row.tolist(), place.tolist(), strict=True)) == expected


@pytest.mark.parametrize(("size", "decay"), [(None, 1.0), (None, 0.5), (1, 0.5), (7, 0.5), (7, 0.0)])
def test_weights_fall_from_basket_to_basket_of_the_last_events(size: int | None, decay: float) -> None:
    expected = np.zeros((len(ROWS), ITEMS))
    for row in range(len(ROWS)):
        start, end = int(ROWS.start[row]), int(ROWS.end[row])
        ago, basket = 0, ROWS.log.basket[end - 1]
        for place in range(end - 1, max(start, end - (size or end)) - 1, -1):
            ago += int(ROWS.log.basket[place] != basket)
            basket = ROWS.log.basket[place]
            expected[row, ROWS.log.item[place]] += decay**ago
    assert weights(ROWS, size, decay, ITEMS).toarray() == pytest.approx(expected, abs=1e-6)
