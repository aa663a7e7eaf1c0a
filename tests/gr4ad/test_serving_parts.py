"""Cache, widths, the traffic controller and the simulated day, against formulas and enumeration."""

from __future__ import annotations

from dataclasses import replace
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.serving.cache import ResultCache
from remeasure.impls.gr4ad.serving.simulation import Day, Machine, adaptive, by_hour, fixed, serve, waits
from remeasure.impls.gr4ad.serving.traffic import TABS
from remeasure.impls.gr4ad.serving.widths import DYNAMIC, FIXED, scaled

CODES = (1024, 256, 64)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.integers(0, 3), st.booleans()), max_size=40),
    st.sampled_from((0.0, 1.0, 6.0)),
)
def test_the_cache_gives_what_was_put_last_and_less_than_its_time_to_live_ago(
    steps: list[tuple[float, int, bool]], ttl: float
) -> None:
    cache: ResultCache[int] = ResultCache(ttl)
    put: dict[int, tuple[float, int]] = {}
    now = 0.0
    for serial, (passed, key, writes) in enumerate(steps):
        now += passed
        if writes:
            cache.put(key, serial, now)
            put[key] = now, serial
            assert len(cache) == sum(now - at < ttl for at, _ in put.values())
        at, answer = put.get(key, (-np.inf, -1))
        assert cache.get(key, now) == (answer if now - at < ttl else None)


def test_a_cleared_cache_gives_nothing() -> None:
    cache: ResultCache[str] = ResultCache()
    cache.put("user", "answer", 0.0)
    cache.clear()
    assert cache.get("user", 0.0) is None and len(cache) == 0


def test_widths_grow_by_the_factor_as_far_as_beams_can_be_filled() -> None:
    assert scaled(DYNAMIC, 1.0, CODES) == DYNAMIC
    assert scaled(DYNAMIC, 1.6, CODES) == (205, 410, 819)
    assert scaled(FIXED, 1.6, (600, 256, 64)) == (600, 819, 819)
    assert scaled(FIXED, 1.0, (4, 4, 4)) == (4, 16, 64)
    assert scaled((2, 4, 8), 0.01, CODES) == (1, 1, 1)


def test_the_controller_uses_spare_capacity_and_no_more_than_its_limit() -> None:
    tabs = TABS(capacity=100.0, max_scale=1.6, ewma=1.0)
    assert [tabs.factor(rate) for rate in (0.0, 10.0, 80.0, 100.0, 300.0)] == [1.6, 1.6, 1.25, 1.0, 1.0]
    assert tabs.factors(np.array([300.0, 80.0, 10.0])).tolist() == [1.0, 1.0, 1.25]


def test_the_mean_rate_forgets_by_the_given_weight() -> None:
    tabs = TABS(capacity=100.0, ewma=0.5)
    assert tabs.smoothed(None, 40.0) == 40.0
    assert tabs.smoothed(40.0, 80.0) == 60.0


@given(st.lists(st.floats(0, 1e3), min_size=1, max_size=30), st.floats(0.01, 1))
def test_a_factor_never_depends_on_its_own_window(rates: list[float], ewma: float) -> None:
    tabs = TABS(capacity=100.0, ewma=ewma)
    factors = tabs.factors(np.array(rates))
    assert ((factors >= 1) & (factors <= 1.6)).all()
    assert (tabs.factors(np.append(rates[:-1], 1e9)) == factors).all()


def poisson(rate: float, count: int) -> np.ndarray:
    arrivals: np.ndarray = np.cumsum(np.random.default_rng(3).exponential(1 / rate, count))
    return arrivals


@pytest.mark.parametrize("load", (0.3, 0.7))
def test_mean_waits_are_those_of_m_d_1(load: float) -> None:
    got = waits(poisson(load, 200_000), np.ones(200_000), 1, np.inf).mean()
    assert got == pytest.approx(load / (2 * (1 - load)), rel=0.03)


def test_mean_waits_of_several_threads_are_those_of_erlang_c() -> None:
    threads, load = 3, 2.1
    terms = [load**k / factorial(k) for k in range(threads + 1)]
    last = terms[-1] / (1 - load / threads)
    wanted = last / (sum(terms[:-1]) + last) / (threads - load)
    service = np.random.default_rng(4).exponential(size=200_000)
    assert waits(poisson(load, 200_000), service, threads, np.inf).mean() == pytest.approx(wanted, rel=0.05)


def test_a_full_line_drops_just_those_whose_turn_comes_too_late() -> None:
    arrival = np.array([0.0, 0.1, 0.2, 0.3, 5.0])
    got = waits(arrival, np.ones(5), 1, 1.8)
    assert got.tolist() == pytest.approx([0.0, 0.9, 1.8, np.inf, 0.0])


MACHINE = Machine(
    times=np.array([[0.08, 0.1, 0.12], [0.12, 0.15, 0.18]]),
    scale=np.array([1.0, 1.5]),
    value=np.array([1.0, 1.05]),
)
DAY = Day(rates=(2.0, 6.0, 9.5, 4.0), seed=1, slo=1.0)


def test_arrivals_follow_the_rates_of_the_hours_and_the_seed() -> None:
    arrivals = DAY.arrivals()
    counts = np.bincount((arrivals // 3600).astype(int), minlength=4)
    expected = np.array(DAY.rates) * 3600
    assert (np.abs(counts - expected) < 5 * np.sqrt(expected)).all() and (np.diff(arrivals) >= 0).all()
    assert (DAY.arrivals() == arrivals).all()
    assert len(replace(DAY, seed=2).arrivals()) != len(arrivals)


def test_adaptive_widths_drop_less_than_wide_ones_and_are_worth_more_than_narrow_ones() -> None:
    requests = DAY.arrivals()
    policies = {
        "narrow": fixed(requests, 0),
        "wide": fixed(requests, 1),
        "adaptive": adaptive(requests, MACHINE, TABS(capacity=0.8 * MACHINE.capacity()), DAY.window),
    }
    total = {name: by_hour(DAY, MACHINE, serve(DAY, MACHINE, width))[1] for name, width in policies.items()}
    assert total["adaptive"].dropped[0] < total["wide"].dropped[0]
    assert total["adaptive"].value[0] > max(total["narrow"].value[0], total["wide"].value[0])
    assert 1.0 == total["narrow"].width[0] < total["adaptive"].width[0] < total["wide"].width[0] == 1.5


def test_hours_add_up_to_the_day() -> None:
    served = serve(DAY, MACHINE, fixed(DAY.arrivals(), 1))
    hours, total = by_hour(DAY, MACHINE, served)
    weight = np.bincount((served.arrival // 3600).astype(int), minlength=4) / len(served.arrival)
    for name in ("width", "dropped", "late"):
        assert np.dot(getattr(hours, name), weight) == pytest.approx(getattr(total, name)[0])
    assert sum(hours.value) == pytest.approx(total.value[0])
    assert np.mean(hours.load) == pytest.approx(total.load[0])
    assert np.argmax(hours.load) == np.argmax(hours.p95) == np.argmax(hours.dropped) == 2
    assert hours.p95[0] < hours.p95[1] < hours.p95[2] <= DAY.slo + 0.18


def test_an_hour_without_requests_has_no_shares() -> None:
    hours, _ = by_hour(
        day := replace(DAY, rates=(0.0, 1.0)), MACHINE, serve(day, MACHINE, fixed(day.arrivals(), 0))
    )
    assert np.isnan([hours.p95[0], hours.dropped[0]]).all() and hours.value[0] == 0.0


FAULTS: dict[str, tuple[Any, str]] = {
    "ttl below 0": (lambda: ResultCache(-1.0), "time to live is -1.0 s; give at least 0"),
    "no capacity": (lambda: TABS(capacity=0.0), "capacity is 0.0; give a rate above 0"),
    "a scale that narrows": (lambda: TABS(1.0, max_scale=0.5), "max_scale is 0.5; give at least 1"),
    "no memory": (lambda: TABS(1.0, ewma=0.0), "ewma is 0.0; give more than 0 and at most 1"),
    "no objective": (lambda: replace(DAY, slo=0.0), "slo is 0.0 s"),
    "a rate below 0": (lambda: replace(DAY, rates=(1.0, -1.0)), "requests/s of every hour, each at least 0"),
    "no threads": (lambda: replace(MACHINE, threads=0), "number of threads must be above 0"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_that_says_what_to_do(fault: str) -> None:
    do, said = FAULTS[fault]
    with pytest.raises(UserError, match=said):
        do()
