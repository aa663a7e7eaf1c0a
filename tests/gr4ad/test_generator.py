"""The whole system on a made-up shop, and the one door to all recommenders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from remeasure.datasets.amazon18_office.loader import Request, load
from remeasure.datasets.common.interactions import Interactions, Log, Split
from remeasure.errors import UserError
from remeasure.impls.gr4ad.arms import Recommending, fitted
from remeasure.impls.gr4ad.baselines.cascade.config import Cascade, Din, Towers, Trees
from remeasure.impls.gr4ad.baselines.config import Popularity
from remeasure.impls.gr4ad.baselines.tiger.config import Tiger
from remeasure.impls.gr4ad.generator import fit
from remeasure.impls.gr4ad.measures import judge
from remeasure.impls.gr4ad.questions import Generating

SMALL = Generating(
    sizes=(16, 8, 8), dims=8, history=6, d=16, layers=2, heads=2, steps=8, batch=32, widths=(8, 16, 32)
)
ARMS: list[Recommending] = [
    SMALL,
    replace(SMALL, parallel=1, half_life=1000.0),
    Popularity(),
    Tiger(codes=8, dim=16, encoder=1, decoder=1, heads=2, epochs=1),
    Cascade(size=6, towers=Towers(epochs=1), trees=Trees(rounds=3), din=Din(epochs=1)),
]


@pytest.fixture(scope="module")
def shop() -> Interactions:
    return load(Request(users=90, products=60), None)


@pytest.mark.parametrize("asked", ARMS, ids=lambda asked: type(asked).__name__)
def test_every_recommender_answers_with_distinct_items_that_the_history_lacks_where_that_is_asked(
    shop: Interactions, asked: Recommending
) -> None:
    split = shop.test
    model = fitted(asked, split, seed=0)
    for without in (False, True):
        items, scores = model.top(split.rows, 7, exclude_seen=without)
        assert items.shape == scores.shape == (len(split.rows), 7)
        for row, found in enumerate(items):
            there = found[found >= 0]
            assert len(set(there.tolist())) == len(there)
            history = split.rows.log.item[split.rows.start[row] : split.rows.end[row]]
            assert not (without and np.isin(there, history).any())


@pytest.mark.parametrize("asked", ARMS, ids=lambda asked: type(asked).__name__)
def test_a_seed_gives_the_same_lists_again(shop: Interactions, asked: Recommending) -> None:
    one, again = (fitted(asked, shop.test, seed=3).top(shop.test.rows, 5)[0] for _ in range(2))
    assert np.array_equal(one, again)


def test_no_test_target_reaches_what_is_learned(shop: Interactions) -> None:
    """The same training part with other test rows gives the same weights; with the targets in it, others."""
    split = shop.test

    def weights(given: Split) -> torch.Tensor:
        decoder = fit(given, SMALL, seed=0).recommender.decoder
        return torch.cat([weight.flatten() for weight in decoder.state_dict().values()])

    others = Split(split.name, split.items, split.train, split.rows.select(np.arange(5)))
    leaked = Split(split.name, split.items, _with_first_target(split), split.rows)
    assert torch.equal(weights(split), weights(others))
    assert not torch.equal(weights(split), weights(leaked))


def test_training_longer_finds_more_of_what_was_learned(shop: Interactions) -> None:
    def found(steps: int) -> float:
        model = fit(shop.test, replace(SMALL, steps=steps), seed=0)
        return judge(model.top(shop.test.rows, 10)[0], shop.test.rows).hits(10).overall()

    assert found(150) > found(1)


def test_preferences_need_a_reward(shop: Interactions) -> None:
    with pytest.raises(UserError, match="needs a reward"):
        fit(shop.test, replace(SMALL, objective="rspo"), seed=0)


def _with_first_target(split: Split) -> Log:
    """The planted leak: the first row's target as one more event of its user."""
    log, rows = split.train, split.rows
    user = int(np.flatnonzero(np.diff(log.offsets))[0])
    place = log.offsets[user + 1]
    offsets = log.offsets.copy()
    offsets[user + 1 :] += 1

    def put(array: np.ndarray, value: float) -> np.ndarray:
        return np.insert(array, place, value)

    basket = np.insert(log.basket * 2, place, log.basket[place - 1] * 2 + 1)
    last = log.time[place - 1] + 1
    return Log(
        offsets,
        put(log.item, rows.item[0]),
        put(log.value, 1.0),
        put(log.depth, 0),
        put(log.time, last),
        basket,
    )
