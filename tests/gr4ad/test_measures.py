"""Measures equal what others compute and what plain loops say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from remeasure.datasets.common.interactions import Items, Log, Rows, Split
from remeasure.impls.common.ranking import ndcg_at, recall_at
from remeasure.impls.gr4ad.measures import Judged, Ratio, judge, kept

ITEMS, LENGTH = 12, 6


def rows_of(targets: list[dict[int, float]], users: list[int], history: list[list[int]]) -> Rows:
    """Rows with these targets and their values, users and histories."""
    counts = [len(taken) for taken in history]
    offsets = np.concatenate(([0], np.cumsum(counts))).astype(np.int64)
    item = np.array([item for taken in history for item in taken], dtype=np.int64)
    ones = np.ones(len(item))
    log = Log(offsets, item, ones, np.zeros(len(item), np.int64), np.zeros(len(item)), np.arange(len(item)))
    return Rows(
        log=log,
        user=np.array(users, dtype=np.int64),
        start=offsets[:-1],
        end=offsets[1:],
        time=np.ones(len(users)),
        offsets=np.concatenate(([0], np.cumsum([len(taken) for taken in targets]))).astype(np.int64),
        item=np.array([item for taken in targets for item in taken], dtype=np.int64),
        value=np.array([value for taken in targets for value in taken.values()], dtype=np.float64),
    )


@st.composite
def questions(draw: st.DrawFn) -> tuple[Rows, np.ndarray]:
    """Rows with several targets, and lists that may end early."""
    count = draw(st.integers(1, 6))
    values = st.floats(0, 100, allow_nan=False)
    targets = [
        draw(st.dictionaries(st.integers(0, ITEMS - 1), values, min_size=1, max_size=8)) for _ in range(count)
    ]
    users = draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    histories = [draw(st.lists(st.integers(0, ITEMS - 1), min_size=1, max_size=5)) for _ in range(count)]
    ranked = np.full((count, LENGTH), -1, dtype=np.int64)
    for row in range(count):
        places = draw(st.permutations(range(ITEMS)))[: draw(st.integers(0, LENGTH))]
        ranked[row, : len(places)] = places
    return rows_of(targets, users, histories), ranked


def targets_of(rows: Rows, row: int) -> dict[int, float]:
    part = slice(rows.offsets[row], rows.offsets[row + 1])
    return dict(zip(rows.item[part].tolist(), rows.value[part].tolist(), strict=True))


@given(questions(), st.integers(1, LENGTH))
def test_measures_are_what_plain_loops_say(asked: tuple[Rows, np.ndarray], k: int) -> None:
    rows, ranked = asked
    judged = judge(ranked, rows)
    for row in range(len(rows)):
        wanted = targets_of(rows, row)
        first = [item for item in ranked[row, :k].tolist() if item >= 0]
        gain = sum(1 / math.log2(place + 2) for place, item in enumerate(first) if item in wanted)
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
        assert judged.hits(k).numerator[row] == float(any(item in wanted for item in first))
        assert judged.ndcg(k).numerator[row] == pytest.approx(gain / ideal)
        assert judged.value_recall(k).numerator[row] == pytest.approx(sum(wanted.get(i, 0) for i in first))
        assert judged.value_recall(k).denominator[row] == pytest.approx(sum(wanted.values()))


@given(questions(), st.integers(1, LENGTH))
def test_ndcg_of_several_targets_equals_scikit_learn(asked: tuple[Rows, np.ndarray], k: int) -> None:
    rows, ranked = asked
    relevant, scores = np.zeros((len(rows), ITEMS)), np.zeros((len(rows), ITEMS))
    relevant[rows.row(), rows.item] = 1
    for row, places in enumerate(ranked.tolist()):
        left = [item for item in range(ITEMS) if item not in places]
        whole = [item for item in places if item >= 0] + left
        scores[row, whole] = -np.arange(ITEMS)
        ranked[row] = whole[:LENGTH]
    assert judge(ranked, rows).ndcg(k).overall() == pytest.approx(ndcg_score(relevant, scores, k=k))


@given(st.integers(0, 99), st.integers(1, LENGTH))
def test_with_one_target_a_row_hr_and_ndcg_are_those_of_ranks(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    rank = generator.integers(1, ITEMS + 1, 20)
    ranked = np.argsort(generator.random((20, ITEMS)), axis=1)
    target = ranked[np.arange(20), rank - 1]
    rows = rows_of([{int(item): 1.0} for item in target], list(range(20)), [[0]] * 20)
    judged = judge(ranked[:, :LENGTH], rows)
    assert (judged.hits(k).by_user()[1] == recall_at(rank, k)).all()
    assert judged.ndcg(k).by_user()[1] == pytest.approx(ndcg_at(rank, k))


@given(questions(), st.integers(1, LENGTH))
def test_the_mean_of_the_users_values_is_the_ratio_of_the_sums(
    asked: tuple[Rows, np.ndarray], k: int
) -> None:
    rows, ranked = asked
    judged = judge(ranked, rows)
    for ratio in (judged.hits(k), judged.ndcg(k), judged.value_recall(k)):
        if ratio.denominator.sum() > 1e-6:
            users, values = ratio.by_user()
            assert values.mean() == pytest.approx(ratio.numerator.sum() / ratio.denominator.sum())
            assert users.tolist() == sorted(set(rows.user.tolist()))


def test_the_spread_of_the_users_values_is_the_spread_of_the_ratio_among_samples() -> None:
    generator = np.random.default_rng(0)
    denominator = generator.lognormal(size=400)
    numerator = denominator * generator.beta(2, 5, 400)
    _, values = Ratio(np.arange(400), numerator, denominator).by_user()
    samples = generator.integers(0, 400, (2000, 400))
    ratios = numerator[samples].sum(axis=1) / denominator[samples].sum(axis=1)
    assert values.std() / 20 == pytest.approx(ratios.std(), rel=0.1)


@given(questions(), st.integers(0, 9))
def test_a_slice_judges_its_targets_and_no_rows_without_any(
    asked: tuple[Rows, np.ndarray], seed: int
) -> None:
    rows, ranked = asked
    keep = np.random.default_rng(seed).random(len(rows.item)) < 0.4
    judged = judge(ranked, rows, keep)
    assert judged.row.tolist() == sorted(set(rows.row()[keep].tolist()))
    assert judged.value.tolist() == rows.value[keep].tolist()
    assert (judged.user == rows.user[judged.row]).all()
    assert judge(ranked, rows, ~keep).hits(LENGTH).numerator.max(initial=0) <= 1


def test_new_and_cold_targets_are_those_without_a_past() -> None:
    rows = rows_of([{1: 1.0, 2: 1.0, 3: 1.0}], [0], [[1, 4]])
    items = Items(
        *(np.arange(5) for _ in range(2)), np.zeros(5, int), np.array(["a"]), np.zeros(5, int), ("c",)
    )
    train = rows_of([{0: 1.0}], [0], [[1, 2, 4]]).log
    split = Split("test", items, train, rows)
    assert kept(split, "all").tolist() == [True, True, True]
    assert kept(split, "new").tolist() == [False, True, True]
    assert kept(split, "cold").tolist() == [False, False, True]


def test_capped_values_replace_the_rows_own() -> None:
    rows = rows_of([{1: 1.0, 2: 99.0}], [0], [[0]])
    ranked = np.array([[1, 3]])
    assert judge(ranked, rows).value_recall(2).overall() == pytest.approx(0.01)
    capped = judge(ranked, rows, value=np.minimum(rows.value, 4.0))
    assert capped.value_recall(2).overall() == pytest.approx(0.2)


SIDS = np.array([[0, 0], [0, 1], [0, 1], [1, 0]])


def test_an_item_with_the_targets_sid_is_a_hit_where_sids_are_judged() -> None:
    rows = rows_of([{1: 1.0}], [0], [[0]])
    ranked = np.array([[3, 2, -1, -1]])
    assert judge(ranked, rows).hits(4).overall() == 0
    by_sid = judge(ranked, rows, codes=SIDS)
    assert by_sid.place.tolist() == [2] and by_sid.hits(2).overall() == 1 and by_sid.hits(1).overall() == 0


def test_two_targets_of_one_sid_are_one_gain_and_both_their_values() -> None:
    judged = judge(np.array([[2, 0, -1]]), rows_of([{1: 1.0, 2: 3.0}], [0], [[0]]), codes=SIDS)
    assert judged.ndcg(3).overall() == pytest.approx(1.0)
    assert judged.value_recall(1).overall() == pytest.approx(1.0)


def test_a_list_that_ended_finds_nothing_more() -> None:
    judged = judge(np.array([[-1, -1]]), rows_of([{0: 1.0}], [0], [[0]]), codes=SIDS)
    assert judged.hits(2).overall() == 0


def test_nothing_judged_has_no_ratio() -> None:
    rows = rows_of([{1: 1.0}], [0], [[0]])
    judged = judge(np.array([[1]]), rows, np.array([False]))
    assert math.isnan(judged.hits(1).overall()) and len(judged.hits(1).by_user()[1]) == 0
    assert math.isnan(judge(np.array([[1]]), rows, value=np.zeros(1)).value_recall(1).overall())


def test_more_places_than_the_lists_have_are_refused() -> None:
    judged: Judged = judge(np.array([[1, 2]]), rows_of([{1: 1.0}], [0], [[0]]))
    for k in (0, 3):
        with pytest.raises(ValueError, match="the lists have 2 places"):
            judged.hits(k)


def test_lists_that_are_not_one_a_row_are_refused() -> None:
    with pytest.raises(ValueError, match="for 1 rows"):
        judge(np.zeros((2, 3), dtype=np.int64), rows_of([{1: 1.0}], [0], [[0]]))
