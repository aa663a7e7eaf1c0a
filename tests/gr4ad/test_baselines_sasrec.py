"""SASRec: what it is asked in training, that it looks back only, that it learns, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from remeasure.datasets.common.interactions import Log, training_rows
from remeasure.datasets.uci_online_retail.loader import load
from remeasure.datasets.uci_online_retail.request import Request
from remeasure.errors import UserError
from remeasure.impls.gr4ad.baselines.config import Sasrec
from remeasure.impls.gr4ad.baselines.sasrec import Lessons, Network, SasrecModel, fit

SHOP = load(Request(customers=100, products=40), None)
SPLIT = SHOP.validation
SMALL = Sasrec(size=8, dim=16, epochs=1)


def cycles(users: int, length: int, items: int) -> Log:
    """Everybody takes one item after another, in the same order, from different places."""
    offsets = np.arange(users + 1) * length
    item = (np.arange(users)[:, None] + np.arange(length)).ravel() % items
    count = users * length
    return Log(
        offsets,
        item,
        np.ones(count),
        np.zeros(count, int),
        np.tile(np.arange(float(length)), users),
        np.arange(count),
    )


def test_every_basket_but_a_users_first_is_asked_for_once_an_epoch_after_the_one_before_it() -> None:
    rows = training_rows(SPLIT.train)
    lessons = Lessons.of(SPLIT.train, None)
    asked, expected = [], []
    for batch in lessons.batches(8, 4, np.random.default_rng(0)):
        last = batch.item.flatten()[batch.asked]
        for question, item in enumerate(last.tolist()):
            asked.append((item, tuple(batch.target[batch.question == question].tolist())))
        weight = torch.zeros(len(last)).index_add(0, batch.question, batch.weight)
        assert weight.numpy() == pytest.approx(1, abs=1e-5)
    for row in range(len(rows)):
        targets = rows.item[rows.offsets[row] : rows.offsets[row + 1]]
        expected.append((int(rows.log.item[rows.end[row] - 1]), tuple(targets.tolist())))
    assert sorted(asked) == sorted(expected)


def test_windows_hold_one_users_events_in_order() -> None:
    lessons = Lessons.of(cycles(users=30, length=20, items=1000), None)
    for batch in lessons.batches(8, 4, np.random.default_rng(0)):
        ends = torch.zeros(len(batch.item), dtype=torch.int64)
        ends.scatter_reduce_(0, batch.asked // batch.item.shape[1], batch.asked % batch.item.shape[1], "amax")
        for window, end in zip(batch.item.tolist(), ends.tolist(), strict=True):
            assert window[: end + 1] == list(range(window[0], window[0] + end + 1))


def test_later_baskets_weigh_more_and_all_weigh_1_on_average() -> None:
    weight = Lessons.of(SPLIT.train, 10.0).weight
    later = SPLIT.train.time[Lessons.of(SPLIT.train, 10.0).ends + 1]
    order = np.argsort(later)
    assert weight.mean() == pytest.approx(1) and (np.diff(weight[order]) >= 0).all() and weight.max() > 1


def test_padding_behind_and_later_events_change_nothing_before() -> None:
    torch.manual_seed(0)
    network = Network(40, SMALL).eval()
    item = torch.randint(0, 40, (3, 8))
    changed = item.clone()
    changed[:, 5:] = 0
    read, other = network(item), network(changed)
    assert torch.allclose(read[:, :5], other[:, :5], atol=1e-6)
    assert not torch.allclose(read[:, 5:], other[:, 5:])


def test_short_histories_in_one_batch_with_long_ones_score_as_they_do_alone() -> None:
    torch.manual_seed(0)
    model = SasrecModel(SMALL, Network(len(SPLIT.items), SMALL))
    rows = replace(SPLIT.rows, start=np.maximum(SPLIT.rows.start, SPLIT.rows.end - 1 - SPLIT.rows.user % 9))
    together = model.scores(rows)
    alone = np.concatenate([model.scores(rows.select(np.array([row]))) for row in range(len(rows))])
    assert together == pytest.approx(alone, abs=1e-4)


def test_it_learns_an_order() -> None:
    log = cycles(users=60, length=6, items=12)
    config = Sasrec(size=5, dim=16, epochs=15, dropout=0.0, learning_rate=1e-2, batch=16)
    model = fit(log, SHOP.catalogue, config, np.random.default_rng(0))
    rows = training_rows(log)
    items, _ = model.top(rows, 1)
    assert (items[:, 0] == rows.item).mean() > 0.95


def test_the_watch_sees_every_epoch_and_may_end_the_training() -> None:
    seen: list[int] = []

    def watch(epoch: int, model: SasrecModel) -> bool:
        seen.append(epoch)
        return epoch == 2

    fit(SPLIT.train, SPLIT.items, replace(SMALL, epochs=5), np.random.default_rng(0), watch)
    assert seen == [1, 2]


def test_a_training_that_is_watched_and_ended_is_the_shorter_training() -> None:
    watched = fit(
        SPLIT.train,
        SPLIT.items,
        replace(SMALL, epochs=3),
        np.random.default_rng(0),
        lambda epoch, model: bool(model.scores(SPLIT.rows).any()) and epoch == 2,
    )
    shorter = fit(SPLIT.train, SPLIT.items, replace(SMALL, epochs=2), np.random.default_rng(0))
    assert watched.scores(SPLIT.rows).tobytes() == shorter.scores(SPLIT.rows).tobytes()


def test_training_leaves_torchs_own_randomness_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(SPLIT.train, SPLIT.items, SMALL, np.random.default_rng(0))
    assert torch.equal(torch.rand(3), expected)


def test_heads_that_do_not_divide_d_are_refused() -> None:
    with pytest.raises(UserError, match="3 heads do not divide d = 16; choose"):
        fit(SPLIT.train, SPLIT.items, replace(SMALL, heads=3), np.random.default_rng(0))


def test_users_of_one_basket_teach_nothing_and_are_refused() -> None:
    with pytest.raises(UserError, match="nobody has two baskets"):
        fit(cycles(users=4, length=1, items=4), SHOP.catalogue, SMALL, np.random.default_rng(0))


def test_a_loss_that_is_no_number_stops_with_its_epoch() -> None:
    with pytest.raises(UserError, match=r"the loss of SASRec is .* in epoch 1, step .*; choose a smaller"):
        fit(SPLIT.train, SPLIT.items, replace(SMALL, learning_rate=1e30), np.random.default_rng(0))
