"""Redrawn and held-out lists obey the sampling law and are reproducible."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from remeasure.datasets.xmrec.generator import Generator, generate
from remeasure.datasets.xmrec.lists import Pairs, Users, draw_lists, holdout_lists, resample_lists
from remeasure.datasets.xmrec.loader import Request, load, simulation
from remeasure.datasets.xmrec.markets import Lists, Market, positives_of
from remeasure.errors import UserError


@pytest.fixture(scope="module")
def market() -> Market:
    return generate(simulation(Request(scale="tiny"), (), ("home",)))["home"]


def history(market: Market) -> dict[str, set[str]]:
    assert market.train is not None and market.train_5core is not None
    rows = pd.concat([market.train, market.train_5core])
    return {str(user): set(items) for user, items in rows.groupby("userId")["itemId"]}


def obeys_the_law(
    lists: Lists, positives: np.ndarray, catalogue: set[str], past: dict[str, set[str]]
) -> None:
    assert lists.items.shape == (len(lists.users), 100)
    for user, items, positive in zip(
        lists.users.tolist(), lists.items.tolist(), positives.tolist(), strict=True
    ):
        assert len(set(items)) == 100
        assert positive in items
        assert set(items) <= catalogue
        assert not set(items) & past.get(user, set())


def test_resampled_lists_obey_the_law(market: Market) -> None:
    assert market.train_5core is not None and market.valid_qrel is not None
    lists = resample_lists(market, seed=3)
    catalogue = set(market.train_5core["itemId"]) | set(market.valid_qrel["itemId"])
    assert lists.users.tolist() == sorted(market.valid_qrel["userId"])
    obeys_the_law(lists, positives_of(market, lists.users), catalogue, history(market))


def test_the_same_seed_gives_the_same_bytes_in_any_row_order(market: Market) -> None:
    tables: Any = {name: table.sample(frac=1, random_state=1) for name, table in market.tables().items()}
    shuffled = replace(market, **tables)
    first, again, other = (
        resample_lists(market, 3),
        resample_lists(shuffled, 3),
        resample_lists(market, 4),
    )
    assert first.items.tobytes() == again.items.tobytes() and first.users.tobytes() == again.users.tobytes()
    assert first.items.tobytes() != other.items.tobytes()


def test_negatives_are_uniform_and_the_positive_lies_anywhere() -> None:
    users, catalogue = 20_000, np.arange(0, 60, 2)
    positives = np.full(users, 4)
    past = Pairs(np.repeat(np.arange(users), 2), np.tile([0, 30], users))
    who = Users("home", np.arange(users).astype(str))
    lists = draw_lists(np.random.default_rng(5), who, catalogue, past, positives, 10)
    counts = np.bincount(lists.ravel(), minlength=60)
    assert counts[[0, 30]].tolist() == [0, 0] and counts[4] == users
    eligible = np.setdiff1d(catalogue, [0, 4, 30])
    # 9 of 27 eligible items a list: a binomial count, within five standard deviations.
    assert np.abs(counts[eligible] - users / 3).max() < 5 * np.sqrt(users * 2 / 9)
    places = np.bincount((lists == 4).argmax(axis=1), minlength=10)
    assert np.abs(places - users / 10).max() < 5 * np.sqrt(users * 0.09)


def test_a_list_may_use_up_the_catalogue_but_no_more(market: Market) -> None:
    who, none = Users("home", np.array(["u"])), Pairs(np.empty(0, int), np.empty(0, int))
    drawn = draw_lists(np.random.default_rng(0), who, np.arange(5), none, np.array([2]), 5)
    assert sorted(drawn[0].tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(UserError, match="leaves 4 negatives to user 'u', too few for lists of 6"):
        draw_lists(np.random.default_rng(0), who, np.arange(5), none, np.array([2]), 6)
    with pytest.raises(UserError, match="market home: the catalogue"):
        resample_lists(market, 0, candidates=5_000)


def test_held_out_pairs_leave_the_training_data(market: Market) -> None:
    assert market.train_5core is not None
    reduced, qrel, lists = holdout_lists(market, seed=3)
    assert reduced.valid_qrel is None and reduced.valid_run is None and reduced.test_run is None
    before, after = history(market), history(reduced)
    items_of = market.train_5core.groupby("userId")["itemId"].nunique()
    assert qrel["userId"].tolist() == sorted(items_of.index[items_of >= 2])
    for user, item in zip(qrel["userId"], qrel["itemId"], strict=True):
        assert after[user] == before[user] - {item}
        assert after[user] and item in before[user]
    untouched = set(before) - set(qrel["userId"])
    assert all(after[user] == before[user] for user in untouched)
    obeys_the_law(lists, qrel["itemId"].to_numpy(str), set(market.train_5core["itemId"]), after)


def test_held_out_lists_do_not_depend_on_the_labels(market: Market) -> None:
    assert market.valid_qrel is not None
    other = market.valid_qrel.assign(itemId=market.valid_qrel["itemId"].to_numpy()[::-1])
    first, second = holdout_lists(market, 3)[2], holdout_lists(replace(market, valid_qrel=other), 3)[2]
    assert first.items.tobytes() == second.items.tobytes()


def test_loader_gives_the_reduced_market_for_holdout_lists() -> None:
    data = load(Request(lists="holdout", scale="tiny"), None)
    assert data.markets[data.target].valid_qrel is None and data.test_users is None
    assert all(data.markets[name].valid_qrel is not None for name in data.co_targets)
    assert (data.candidates == data.positives[:, None]).sum(axis=1).tolist() == [1] * len(data.users)


def test_holding_out_needs_two_items_a_user() -> None:
    core = pd.DataFrame({"userId": ["u", "u"], "itemId": ["a", "a"], "rating": [1.0, 1.0]})
    with pytest.raises(UserError, match="no user with two 5-core items"):
        holdout_lists(Market("home", train_5core=core), 0)
    with pytest.raises(UserError, match=r"no train_5core\.tsv"):
        holdout_lists(Market("home", train=core), 0)


def test_generator_refuses_markets_too_small_for_its_lists() -> None:
    with pytest.raises(UserError, match="too few for lists of 100"):
        generate(Generator((), ("home",), users=400, items=100, topics=4))
