"""The simulated world: rates come true, no list beats the oracle's, propensities are exact, days pass as declared."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice, permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from interaction_checks import check, equal

from remeasure.datasets.adsim.cascade import distinct, draw_slates, log_propensities, show
from remeasure.datasets.adsim.constants import CONVERSIONS, Constants
from remeasure.datasets.adsim.creation import create
from remeasure.datasets.adsim.days import days
from remeasure.datasets.adsim.feedback import chance, respond
from remeasure.datasets.adsim.loader import Adsim, Request, load
from remeasure.datasets.adsim.world import World
from remeasure.errors import UserError

SMALL = Request(ads=120, users=150, requests=20)


@cache
def small() -> Adsim:
    return load(SMALL, None)


def world_of(ads: int, users: int = 6, seed: int = 0) -> World:
    return create(Request(ads=ads, users=users), Constants(), np.random.default_rng(seed))


def far(found: np.ndarray, rate: np.ndarray, draws: int) -> float:
    """The largest distance of frequencies from their probabilities, in standard deviations."""
    spread = np.sqrt(np.maximum(rate * (1 - rate), 1e-9) / draws)
    return float((np.abs(found - rate) / spread).max())


def test_clicks_conversions_and_logged_ecpm_come_at_their_true_rates() -> None:
    world, draws = world_of(40), 60_000
    users = np.array([0, 1, 2, 3])
    slates = world.oracle(users, 8)
    rng = np.random.default_rng(1)
    clicked, converted, logged = np.zeros((4, 8)), np.zeros((4, 8)), np.zeros((4, 8))
    for user in range(4):
        many = np.repeat(slates[user : user + 1], draws, axis=0)
        got = respond(world, np.full(draws, user), many, chance(draws, 8, rng))
        assert not (got.converted & ~got.clicked).any()
        clicked[user], converted[user] = got.clicked.mean(axis=0), got.converted.mean(axis=0)
        logged[user] = got.ecpm.mean(axis=0)
        assert got.ecpm.std(axis=0) / got.ecpm.mean(axis=0) == pytest.approx(np.full(8, 0.2), rel=0.05)
    pctr = world.pctr(users, slates)
    assert far(clicked, pctr, draws) < 5
    assert far(converted, pctr * world.pcvr[slates], draws) < 5
    assert logged == pytest.approx(world.ecpm(users, slates), rel=0.01)


def test_the_truth_is_the_declared_formula() -> None:
    world = world_of(30)
    laws, user, ad = world.constants, 3, 17
    affinity = float(world.taste[user] @ world.ads.latent[ad])
    pctr = 1 / (1 + np.exp(-(-4 + 5 * affinity + world.ads.popularity[ad])))
    kind = int(world.ads.conversion[ad])
    pcvr = (0.30, 0.15, 0.08, 0.03)[kind]
    ecpm = 1000 * 0.05 * world.ads.bid[ad] * pctr * pcvr * world.user_value[user]
    asked = np.array([user]), np.array([[ad]])
    assert world.pctr(*asked)[0, 0] == pytest.approx(pctr)
    assert world.ecpm(*asked)[0, 0] == pytest.approx(ecpm)
    assert world.ecpm_of_live(np.array([user]))[0, ad] == pytest.approx(ecpm)
    assert len(laws.type_bid) == len(laws.type_pcvr) == len(CONVERSIONS)
    assert np.linalg.norm(world.taste, axis=1) == pytest.approx(np.ones(6))


@settings(max_examples=15)
@given(st.integers(10, 50), st.integers(0, 1000))
def test_no_pair_of_ads_earns_more_than_the_oracles(ads: int, seed: int) -> None:
    world = world_of(ads, seed=seed)
    every = np.array(list(permutations(range(ads), 2)))
    for user in range(3):
        best = world.revenue(np.array([user]), world.oracle(np.array([user]), 2))[0]
        assert world.revenue(np.full(len(every), user), every).max() == pytest.approx(best)


def test_no_list_of_four_earns_more_than_the_oracles() -> None:
    world = world_of(10)
    every = np.array(list(permutations(range(10), 4)))
    users = np.arange(6)
    best = world.revenue(users, world.oracle(users, 4))
    for user in range(6):
        assert world.revenue(np.full(len(every), user), every).max() == pytest.approx(best[user])
    whole = world.oracle(users, 10)
    assert (np.sort(whole, axis=1) == np.arange(10)).all()


def test_places_without_an_ad_on_offer_earn_nothing() -> None:
    world = world_of(30)
    world = replace(world, live=world.live[1:])
    lists = np.array([[-1, 5, 0], [0, -1, -1]])
    ecpm = world.ecpm(np.array([2, 2]), np.array([[5], [5]]))[0, 0]
    assert world.revenue(np.array([2, 2]), lists).tolist() == pytest.approx([ecpm / np.log2(3), 0])
    got = respond(world, np.array([2, 2]), lists, chance(2, 3, np.random.default_rng(0)))
    assert not got.clicked[lists < 0].any() and (got.ecpm[lists < 0] == 0).all()


@given(st.lists(st.floats(-8, 8), min_size=3, max_size=5), st.integers(1, 3))
def test_the_propensities_of_all_slates_add_up_to_one(utility: list[float], size: int) -> None:
    slates = np.array(list(permutations(range(len(utility)), size)))
    found = log_propensities(np.tile(np.array(utility), (len(slates), 1)), slates)
    assert np.exp(found.sum(axis=1)).sum() == pytest.approx(1)
    weights = np.exp(np.array(utility))
    for slate, log_probability in zip(slates.tolist(), found.tolist(), strict=True):
        left = list(range(len(utility)))
        for ad, log_place in zip(slate, log_probability, strict=True):
            assert log_place == pytest.approx(np.log(weights[ad] / weights[left].sum()), abs=1e-9)
            left.remove(ad)


def test_slates_come_as_often_as_their_propensities_say() -> None:
    utility, draws = np.array([1.0, 0.0, -0.5, 2.0]), 200_000
    slates, log_propensity = draw_slates(np.tile(utility, (draws, 1)), 2, np.random.default_rng(0))
    every = np.array(list(permutations(range(4), 2)))
    rate = np.exp(log_propensities(np.tile(utility, (len(every), 1)), every).sum(axis=1))
    found = np.bincount(slates[:, 0] * 4 + slates[:, 1], minlength=16)[every[:, 0] * 4 + every[:, 1]] / draws
    assert far(found, rate, draws) < 5
    first = int(np.flatnonzero((every == slates[0]).all(axis=1))[0])
    assert np.exp(log_propensity[0].sum()) == pytest.approx(rate[first])


@pytest.mark.parametrize(("count", "size"), [(7, 3), (7, 7), (9, 2)])
def test_candidates_are_distinct_and_every_set_is_equally_likely(count: int, size: int) -> None:
    rows = 60_000
    drawn = np.sort(distinct(count, rows, size, np.random.default_rng(3)), axis=1)
    assert (np.diff(drawn, axis=1) > 0).all() and drawn.min() == 0 and drawn.max() == count - 1
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert far(counts / rows, np.full(len(counts), 1 / len(counts)), rows) < 5


def test_the_log_holds_what_was_shown_and_clicked() -> None:
    data = small()
    check(data)
    slates, feedback = data.slates, data.feedback
    requests = SMALL.users * SMALL.requests
    assert slates.candidates.shape == (requests, 60) and slates.shown.shape == (requests, 8)
    assert (slates.shown[:, :, None] == slates.candidates[:, None, :]).any(axis=2).all()
    assert (np.diff(np.sort(slates.candidates, axis=1), axis=1) > 0).all()
    assert (slates.log_propensity < 0).all()
    utility = (
        np.log(data.world.ecpm(data.asked[:50], slates.candidates[:50])) / data.world.constants.logging_noise
    )
    places = (slates.candidates[:50, None, :] == slates.shown[:50, :, None]).argmax(axis=2)
    assert log_propensities(utility, places) == pytest.approx(slates.log_propensity[:50])
    judged = len(data.test.rows) + len(data.validation.rows)
    assert feedback.clicked.sum() == len(data.test.train) + judged
    user = int(data.test.rows.user[0])
    mine = data.asked == user
    clicks = slates.shown[mine][feedback.clicked[mine]].tolist()
    train = data.test.train
    assert train.item[train.offsets[user] : train.offsets[user + 1]].tolist() == clicks[:-1]
    assert data.test.rows.item[0] == clicks[-1]


def test_test_users_and_users_for_choosing_are_different_ones_with_one_training_part() -> None:
    data = small()
    assert not np.intersect1d(data.test.rows.user, data.validation.rows.user).size
    assert len(data.test.rows) == 0.8 * SMALL.users and equal(
        replace(data.test, rows=data.validation.rows), data.validation
    )


def test_neither_account_nor_type_shows_in_content_or_clicks() -> None:
    world = world_of(20_000)
    kinds = np.eye(4)[world.ads.conversion] - 0.25
    large = np.bincount(world.ads.account)[world.ads.account].astype(float)
    hidden = np.column_stack([kinds, (large - large.mean()) / large.std(), np.log(world.ads.bid)])
    shown = np.column_stack([world.ads.content, world.ads.popularity])
    correlation = np.corrcoef(hidden.T, shown.T)[: hidden.shape[1], hidden.shape[1] :]
    assert np.abs(correlation).max() < 5 / np.sqrt(len(world.ads))


@pytest.mark.slow
@pytest.mark.parametrize(("ads", "accounts"), [(300, 15), (3_000, 150), (20_000, 1_000)])
def test_a_world_of_every_size_has_4000_test_users(ads: int, accounts: int) -> None:
    data = load(Request(ads=ads), None)
    assert (len(data.test.rows), len(data.validation.rows)) == (4_000, 1_000)
    assert (len(data.test.items), len(data.test.items.accounts)) == (ads, accounts)
    users = data.test.rows.user
    best, logged = data.world.oracle(users, 8), data.slates.shown[data.asked.searchsorted(users)]
    assert data.world.revenue(users, logged).sum() < 0.5 * data.world.revenue(users, best).sum()


def test_the_same_request_gives_the_same_world_and_log() -> None:
    again, other = load(SMALL, None), load(replace(SMALL, seed=1), None)
    assert equal(small().test, again.test) and not equal(small().test, other.test)
    assert (small().slates.candidates == again.slates.candidates).all()
    assert (small().world.ads.bid == again.world.ads.bid).all()


def test_slates_for_a_request_can_be_drawn_in_a_world_of_any_day() -> None:
    day = next(days(small().world, 0))
    slates = show(day.world, day.users[:100], np.random.default_rng(0))
    assert np.isin(slates.candidates, day.world.live).all()


def test_a_day_moves_tastes_and_replaces_ads_as_declared() -> None:
    world = world_of(100, users=50)
    first, second = islice(days(world, 5), 2)
    for before, day in ((world, first.world), (first.world, second.world)):
        assert len(day.live) == 100 and len(np.setdiff1d(before.live, day.live)) == 5
        assert (np.setdiff1d(day.live, before.live) == len(before.ads) + np.arange(5)).all()
        assert (day.ads.bid[: len(before.ads)] == before.ads.bid).all()
        step = (day.mixture - 0.9 * before.mixture) / 0.1
        assert (step > -1e-12).all() and step.sum(axis=1) == pytest.approx(np.ones(50))
        assert len(day.items()) == len(day.ads)
    assert (first.number, second.number) == (1, 2) and len(first.users) == 5_000
    assert set(np.unique(first.users)) == set(range(50))


def test_days_are_repeatable_and_answers_do_not_depend_on_the_batches() -> None:
    world = world_of(60, users=30)
    day, again, other = next(days(world, 1)), next(days(world, 1)), next(days(world, 2))
    lists = day.world.oracle(day.users[:200])
    whole = day.answer(lists)
    parts = [day.answer(lists[at : at + 64], at) for at in range(0, 200, 64)]
    assert (np.concatenate([part.clicked for part in parts]) == whole.clicked).all()
    assert (again.answer(lists).ecpm == whole.ecpm).all()
    assert (day.users == again.users).all() and (day.users != other.users).any()


def test_a_folder_and_a_world_that_is_too_small_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="adsim has no files to read"):
        load(Request(), tmp_path)
    for request in (Request(ads=9), Request(users=4), Request(requests=1)):
        with pytest.raises(UserError, match="are too few; ask for at least 10, 5 and 2"):
            load(request, None)
