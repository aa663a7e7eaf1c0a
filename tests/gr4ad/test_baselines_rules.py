"""Popularity, personal frequency and the neighbour rule: what they count, and what they must not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from remeasure.datasets.common.baskets import log_of
from remeasure.datasets.common.interactions import Items, Log, Rows
from remeasure.datasets.uci_online_retail.loader import load
from remeasure.datasets.uci_online_retail.request import Request
from remeasure.impls.gr4ad.baselines.config import Baseline, Frequency, Neighbours, Popularity, Sasrec
from remeasure.impls.gr4ad.baselines.fitting import fit
from remeasure.impls.gr4ad.baselines.neighbours import content, transitions
from remeasure.impls.gr4ad.baselines.popularity import DAY, popularity

SHOP = load(Request(customers=120, products=50), None)
SPLIT = SHOP.test
CONFIGS = (
    Popularity(days=30, by="value"),
    Frequency(decay=0.9),
    Neighbours(reach=2, back=0.5, together=1.0, evenly=0.5, half_life=10.0),
    Sasrec(size=16, dim=8, epochs=2),
)
GENERATOR = np.random.default_rng(0)


def log_from(*baskets: tuple[int, float, list[int]]) -> Log:
    """Baskets as user, time in days, items; of value 10 times the item's number."""
    lines = [
        {"user": user, "item": item, "value": 10.0 * item, "depth": 0, "time": day * DAY, "basket": number}
        for number, (user, day, items) in enumerate(baskets)
        for item in items
    ]
    return log_of(pd.DataFrame(lines), 1 + max(user for user, *_ in baskets))


def items_of(*texts: str) -> Items:
    count = np.zeros(len(texts), dtype=np.int64)
    return Items(
        np.arange(len(texts)).astype(str), np.array(texts, object), count, np.array(["a"]), count, ("c",)
    )


def asked_after(log: Log, user: int = 0) -> Rows:
    """One row whose history is all of a user's events."""
    start, end = log.offsets[user : user + 1], log.offsets[user + 1 : user + 2]
    return Rows(
        log, np.array([user]), start, end, np.array([99 * DAY]), np.array([0, 1]), np.array([0]), np.ones(1)
    )


LOG = log_from((0, 0, [1, 2]), (0, 40, [1]), (0, 45, [1, 3]), (1, 50, [2]))


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Popularity(), [0, 3, 2, 1]),
        (Popularity(days=30), [0, 2, 1, 1]),
        (Popularity(by="users"), [0, 1, 2, 1]),
        (Popularity(days=7, by="value"), [0, 10, 20, 29.5]),
    ],
)
def test_popularity_counts_events_users_or_capped_values_of_the_last_days(
    config: Popularity, expected: list[float]
) -> None:
    assert popularity(LOG, 4, config) == pytest.approx(expected)


def test_personal_frequency_lists_what_was_taken_most_often_and_then_what_is_popular() -> None:
    log = log_from((0, 0, [4, 3]), (0, 1, [3]), (1, 2, [2, 3]), (2, 3, [2, 1]))
    items, scores = fit(log, items_of(*"abcde"), Frequency(), GENERATOR).top(asked_after(log), 5)
    assert items.tolist() == [[3, 4, 2, 1, 0]]
    assert (np.diff(scores[0]) < 0).all()


def test_personal_frequency_forgets_what_lies_before_its_last_events() -> None:
    log = log_from((0, 0, [4]), (0, 1, [3]), (1, 2, [2, 1]), (2, 3, [2]))
    items, _ = fit(log, items_of(*"abcde"), Frequency(size=1), GENERATOR).top(asked_after(log), 2)
    assert items.tolist() == [[3, 2]]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Neighbours(), {(1, 1): 2, (2, 1): 1, (1, 3): 1}),
        (Neighbours(reach=2), {(1, 1): 2.7, (2, 1): 1.7, (1, 3): 1.7, (2, 3): 0.7}),
        (Neighbours(back=0.5), {(1, 1): 3, (2, 1): 1, (1, 2): 0.5, (1, 3): 1, (3, 1): 0.5}),
        (
            Neighbours(together=2.0),
            {(1, 1): 2, (2, 1): 3, (1, 3): 3, (1, 2): 2, (3, 1): 2},
        ),
        (Neighbours(half_life=5.0), {(1, 1): 1.5, (2, 1): 0.5, (1, 3): 1}),
        (Neighbours(evenly=1.0), {(1, 1): 2 / 3, (2, 1): 0.5, (1, 3): 1 / 3}),
    ],
)
def test_transitions_are_the_weighted_pairs_of_a_users_baskets(
    config: Neighbours, expected: dict[tuple[int, int], float]
) -> None:
    log = log_from((0, 0, [1, 2]), (0, 40, [1]), (0, 45, [1, 3]), (1, 45, [2]))
    table = np.zeros((4, 4))
    for pair, weight in expected.items():
        table[pair] = weight
    assert transitions(log, 4, config).toarray() == pytest.approx(table, abs=1e-6)


def test_an_item_that_reads_alike_is_found_though_nobody_took_it_and_is_not_its_own_neighbour() -> None:
    log = log_from((0, 0, [0]), (0, 1, [1]))
    items = items_of("red pen", "glue", "blue pen", "")
    model = fit(log, items, Neighbours(text=1.0), GENERATOR)
    listed, scores = model.top(asked_after(log), 4)
    history = log_from((0, 0, [0]))
    cosine = model.scores(asked_after(history))[0]
    assert cosine[0] == pytest.approx(0) and 0 < cosine[2] < 1 and cosine[3] == 0
    assert listed[0, 0] in (1, 2) and np.isfinite(scores).all()


def test_content_is_the_words_or_else_the_vectors_or_else_nothing() -> None:
    bare = items_of("", "!", "")
    assert content(bare).nnz == 0
    vectors = np.array([[3, 4], [0, 0], [0, 2]], dtype=np.float32)
    lengths = np.linalg.norm(content(replace(bare, vectors=vectors)).toarray(), axis=1)
    assert lengths == pytest.approx([1, 0, 1])
    assert content(items_of("a b", "b", "")).shape == (3, 2)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_baseline_gives_the_same_bytes_for_the_same_seed_and_ranks_every_item(config: Baseline) -> None:
    first, second = (fit(SPLIT.train, SPLIT.items, config, np.random.default_rng(3)) for _ in range(2))
    items, scores = first.top(SPLIT.rows, len(SPLIT.items))
    assert (np.sort(items, axis=1) == np.arange(len(SPLIT.items))).all()
    assert (np.diff(scores, axis=1) <= 0).all() and scores.dtype == np.float32
    assert scores.tobytes() == second.top(SPLIT.rows, len(SPLIT.items))[1].tobytes()


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)
def test_a_list_depends_on_nothing_but_the_last_events_of_its_row(config: Baseline) -> None:
    """Targets, users, and what the log holds after a history's end, are not looked at."""
    model = fit(SPLIT.train, SPLIT.items, config, np.random.default_rng(3))
    rows, generator = SPLIT.rows, np.random.default_rng(1)
    # Ask in the middle of the histories, with the log's later events as they are and then replaced.
    middle = replace(rows, end=rows.start + np.maximum(1, (rows.end - rows.start) // 2))
    inside = np.zeros(len(rows.log), dtype=bool)
    for start, end in zip(middle.start, middle.end, strict=True):
        inside[start:end] = True
    noise = generator.integers(0, len(SPLIT.items), len(rows.log))
    changed = replace(
        middle,
        log=replace(rows.log, item=np.where(inside, rows.log.item, noise)),
        user=generator.permutation(rows.user),
        item=generator.permutation(rows.item),
        value=rows.value * 7,
    )
    assert model.scores(middle).tobytes() == model.scores(changed).tobytes()
    size = getattr(config, "size", None) or len(rows.log)
    shorter = replace(middle, start=np.maximum(middle.start, middle.end - size))
    assert model.scores(middle) == pytest.approx(model.scores(shorter), abs=1e-5)


def test_a_planted_future_changes_what_is_learned_and_the_training_part_holds_none() -> None:
    """The check that training ends before the rows begin would notice a log that does not."""
    assert SPLIT.train.time.max() < SPLIT.rows.time.min()
    assert SHOP.log.time.max() > SPLIT.rows.time.min()
    for config in CONFIGS[:3]:
        honest = fit(SPLIT.train, SPLIT.items, config, GENERATOR).scores(SPLIT.rows)
        leaked = fit(SHOP.log, SPLIT.items, config, GENERATOR).scores(SPLIT.rows)
        assert not np.array_equal(honest, leaked)
