"""Bidding: the published rows to the last click, and values and bids by enumeration of tiny cases."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.ipinyou_rlb.loader import Auctions, Request, load
from remeasure.datasets.ipinyou_rlb.log import Log
from remeasure.errors import UserError
from remeasure.impls.gr4ad.auction.replay import Outcome, episode_budget, replay
from remeasure.impls.gr4ad.auction.rules import Dynamic, Linear, Rule, lin_bid, mcpc
from remeasure.impls.gr4ad.auction.value import price_law, value_table

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "ipinyou_rlb"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ, reason="no real ipinyou_rlb in $REMEASURE_DATA"
)
EPISODE = 1_000


@cache
def rules(real: bool) -> tuple[Auctions, dict[str, Rule]]:
    data = load(Request(), REAL if real else None)
    campaign = data.campaign
    rate = campaign.train_clicks / campaign.train_impressions
    table = value_table(price_law(campaign.prices), rate, EPISODE, episode_budget(campaign, EPISODE))
    return data, {
        "mcpc": mcpc(campaign.train_cost, campaign.train_clicks),
        "lin_bid": lin_bid(10, rate),
        "rlb": Dynamic(table),
        "ss_mdp": Dynamic(table, click_rate=rate),
    }


PUBLISHED = {
    "mcpc": (14_752, 48, 307_751),
    "lin_bid": (32_208, 71, 203_610),
    "rlb": (39_680, 78, 304_375),
    "ss_mdp": (40_395, 80, 306_637),
}


@needs_real
@pytest.mark.parametrize("rule", PUBLISHED)
def test_the_published_row_is_reproduced_to_the_last_click(rule: str) -> None:
    data, by_name = rules(True)
    budget = episode_budget(data.campaign, EPISODE)
    assert budget == 1_969
    assert replay(data.log, by_name[rule], EPISODE, budget) == Outcome(156_063, *PUBLISHED[rule])


@pytest.mark.parametrize("rule", PUBLISHED)
def test_replaying_all_episodes_together_is_replaying_them_one_by_one(rule: str) -> None:
    data, by_name = rules(False)
    log, budget = data.log, episode_budget(data.campaign, EPISODE)
    log = Log(log.clicked[:2_500], log.price[:2_500], log.pctr[:2_500])
    won = clicks = cost = left = 0
    for at in range(2_500):
        left = budget if at % EPISODE == 0 else left
        bid = by_name[rule](EPISODE - at % EPISODE, np.array([left]), log.pctr[at : at + 1])
        if min(int(bid[0]), left, 300) >= log.price[at]:
            won, clicks, cost = won + 1, clicks + int(log.clicked[at]), cost + int(log.price[at])
            left -= int(log.price[at])
    assert replay(log, by_name[rule], EPISODE, budget) == Outcome(2_500, won, clicks, cost)


def value_by_hand(law: np.ndarray, rate: float, auctions: int, budget: int) -> np.ndarray:
    table = np.zeros((auctions + 1, budget + 1))
    for n in range(1, auctions + 1):
        for b in range(1, budget + 1):
            before = table[n - 1]
            gains = (
                law[d] * max(0.0, rate + before[b - d] - before[b]) for d in range(min(b, len(law) - 1) + 1)
            )
            table[n, b] = before[b] + sum(gains)
    return table


TINY = st.tuples(
    st.lists(st.integers(0, 9), min_size=2, max_size=7),
    st.floats(0.001, 0.5),
    st.integers(1, 6),
    st.integers(1, 15),
)


@given(TINY)
def test_the_table_is_the_recursion(case: tuple[list[int], float, int, int]) -> None:
    counts, rate, auctions, budget = case
    law = price_law(np.array(counts))
    table = value_table(law, rate, auctions, budget)
    np.testing.assert_allclose(table, value_by_hand(law, rate, auctions, budget), atol=1e-12)
    assert (np.diff(table, axis=1) >= -1e-15).all() and (np.diff(table, axis=0) >= 0).all()


def test_leaving_out_prices_without_gain_changes_nothing_over_a_whole_episode() -> None:
    law, rate = price_law(np.arange(40)[::-1]), 0.003
    np.testing.assert_allclose(value_table(law, rate, 80, 60), value_by_hand(law, rate, 80, 60), atol=1e-13)


@given(TINY, st.floats(0, 0.5))
def test_a_bid_is_the_largest_one_that_is_worth_it_at_every_price_up_to_it(
    case: tuple[list[int], float, int, int], pctr: float
) -> None:
    counts, rate, auctions, budget = case
    table = value_table(price_law(np.array(counts)), rate, auctions, budget)
    budgets = np.arange(budget + 1)
    bids = Dynamic(table, highest=len(counts) - 1)(auctions, budgets, np.full(budget + 1, pctr))
    value = table[auctions - 1]
    for b, bid in zip(budgets, bids, strict=True):
        worth = [pctr + value[b - d] - value[b] for d in range(min(b, len(counts) - 1) + 1)]
        assert min(worth[: bid + 1]) >= -1e-12
        assert bid == len(worth) - 1 or worth[bid + 1] <= 1e-12


def test_a_bid_never_exceeds_the_budget_left_and_pays_the_winning_price() -> None:
    log = Log(np.array([True, True, False]), np.array([3, 4, 2]), np.ones(3))
    assert replay(log, Linear(300.0), 3, 6) == Outcome(3, 2, 1, 5)
    assert replay(log, Linear(300.0), 2, 6) == Outcome(3, 2, 1, 5)
    assert replay(log, Linear(300.0), 1, 6) == Outcome(3, 3, 2, 9)
    assert replay(log, Linear(2.9), 3, 6) == Outcome(3, 1, 0, 2)


def test_auctions_that_are_not_there_are_not_won_even_for_nothing() -> None:
    log = Log(np.array([True]), np.array([0]), np.array([0.0]))
    assert replay(log, Linear(0.0), 5, 1) == Outcome(1, 1, 1, 0)


@pytest.mark.parametrize(("auctions", "budget"), ((0, 5), (5, 0)))
def test_an_episode_without_auctions_or_money_is_refused(auctions: int, budget: int) -> None:
    with pytest.raises(UserError, match="give at least 1 of each"):
        value_table(np.ones(3) / 3, 0.1, auctions, budget)
    with pytest.raises(UserError, match="give at least 1 and 0"):
        replay(Log(np.zeros(1, dtype=bool), np.ones(1, dtype=np.int64), np.ones(1)), Linear(1), 0, budget)
