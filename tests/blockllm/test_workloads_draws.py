"""The draws below the workloads: arrivals, picks and lengths follow their laws and keep no state."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from blockllm.workload_traces import WORKLOADS
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.servegen.clients import Family, Pmf
from remeasure.impls.blockllm.sim import draws
from remeasure.impls.blockllm.sim.draws import lognormal, pick, renewals, sample


@pytest.mark.parametrize(("family", "shape"), [("Gamma", 1 / 64), ("Gamma", 2.0), ("Weibull", 0.4)])
def test_arrivals_have_the_rate_from_the_first_second_on(family: Family, shape: float) -> None:
    def counts() -> np.ndarray:
        return np.array(
            [len(renewals(np.random.default_rng(k), family, shape, 1.0, 50)) for k in range(3000)]
        )

    drawn = counts()
    assert abs(drawn.mean() - 50) < 4 * drawn.std() / 3000**0.5


def test_the_check_of_rates_finds_arrivals_that_start_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_a_gap(rng: np.random.Generator, *law: Any) -> np.ndarray:
        family, shape, rate, seconds = law
        assert family == "Gamma"
        times = np.cumsum(rng.gamma(shape, 1 / (rate * shape), 4000))
        return times[times < seconds]

    monkeypatch.setitem(globals(), "renewals", from_a_gap)
    with pytest.raises(AssertionError):
        test_arrivals_have_the_rate_from_the_first_second_on("Gamma", 1 / 64)


@given(
    seed=st.integers(0, 2**32),
    shape=st.floats(0.1, 5),
    rate=st.floats(0.01, 100),
    seconds=st.floats(0.1, 20),
    family=st.sampled_from(["Gamma", "Weibull"]),
)
def test_arrivals_are_ordered_within_time_and_a_longer_time_begins_the_same(
    seed: int, shape: float, rate: float, seconds: float, family: Family
) -> None:
    short, long = (
        renewals(np.random.default_rng(seed), family, shape, rate, s) for s in (seconds, 2 * seconds)
    )
    assert (np.diff(short) >= 0).all() and (short >= 0).all() and (short < seconds).all()
    assert np.allclose(long[: len(short)], short) and (long[len(short) :] >= seconds * (1 - 1e-9)).all()


@given(weights=st.lists(st.floats(1e-3, 1), min_size=1, max_size=30), seed=st.integers(0, 2**32))
def test_picks_are_places_in_proportion_to_their_shares(weights: list[float], seed: int) -> None:
    shares = np.array(weights) / sum(weights)
    picked = pick(np.random.default_rng(seed), shares, 4000)
    assert picked.dtype == np.int64 and picked.min() >= 0 and picked.max() < len(shares)
    expected = 4000 * shares
    counts = np.bincount(picked, minlength=len(shares))
    assert (abs(counts - expected) < 7 * (expected + 1) ** 0.5).all()


def test_a_share_sum_below_one_by_rounding_leaves_no_draw_without_a_place() -> None:
    class Last(np.random.Generator):
        def random(self, *size: Any, **more: Any) -> Any:
            return np.full(size, 1 - 2**-53)

    shares = np.full(10, 0.1)
    assert np.cumsum(shares)[-1] < 1
    assert pick(Last(np.random.PCG64()), shares, 3).tolist() == [9, 9, 9]


def test_tokens_are_drawn_by_their_probability() -> None:
    pmf = Pmf(np.array([3, 70, 500]), np.array([0.7, 0.2, 0.1]))
    drawn = sample(np.random.default_rng(0), pmf, 20_000)
    assert [np.mean(drawn == token) for token in (3, 70, 500)] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)


def test_lognormal_lengths_have_the_median_and_mean_asked_for() -> None:
    drawn = lognormal(np.random.default_rng(0), 129, 211, 200_000)
    assert drawn.dtype == np.int64 and drawn.min() >= 1
    assert np.median(drawn) == pytest.approx(129, rel=0.02) and drawn.mean() == pytest.approx(211, rel=0.02)


def test_the_draws_have_no_state_of_their_own() -> None:
    before = {name: repr(value) for name, value in vars(draws).items() if not name.startswith("__")}
    for make in WORKLOADS.values():
        make(1)
    assert before == {name: repr(value) for name, value in vars(draws).items() if not name.startswith("__")}
