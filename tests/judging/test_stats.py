"""Intervals: oriented, deterministic, and the same as scipy's where scipy can be asked."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from remeasure.judging import stats

MONTE_CARLO = 0.15
"""Four times the error of the difference of two 2.5 % percentiles of 10,000 resamples, in standard errors."""


def rounds(seconds, n=90, noise=0.02, seed=1):
    return seconds * np.exp(noise * np.random.default_rng(seed).standard_normal(n))


def ndcg(n, seed):
    """Values as NDCG@10 with one relevant item has them: eleven distinct ones, many of them zero."""
    ranks = np.random.default_rng(seed).integers(1, 21, n)
    return np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0)


def test_ratio_is_above_one_when_the_treatment_takes_less_time():
    found = stats.ratio_interval(rounds(0.1, seed=1), rounds(0.3, seed=2), "lower")
    assert found.lo < 3.0 < found.hi
    assert found.estimate == pytest.approx(3.0, rel=0.01)
    assert found.n == 90


def test_ratio_is_above_one_when_the_treatment_does_more_where_more_is_better():
    assert stats.ratio_interval(rounds(30), rounds(10), "higher").estimate == pytest.approx(3.0)


def test_ratio_is_taken_round_by_round_so_that_drift_of_the_machine_cancels():
    drift = np.linspace(1, 5, 90)
    found = stats.ratio_interval(0.1 * drift, 0.2 * drift, "lower")
    assert (found.lo, found.hi) == (pytest.approx(2.0), pytest.approx(2.0))


def test_ratio_agrees_with_scipys_bootstrap():
    a, b = rounds(0.1, seed=3), rounds(0.12, seed=4)
    logs = np.log(b / a)
    rng = np.random.default_rng(99)
    want = scipy_stats.bootstrap((logs,), np.median, n_resamples=20_000, method="percentile", rng=rng)
    found = stats.ratio_interval(a, b, "lower")
    assert np.log(found.lo) == pytest.approx(want.confidence_interval.low, abs=0.001)
    assert np.log(found.hi) == pytest.approx(want.confidence_interval.high, abs=0.001)


def test_ratio_of_a_single_pair_has_no_width():
    assert stats.ratio_interval([1.0], [2.0], "lower") == stats.Interval(2.0, 2.0, 2.0, 1)


@pytest.mark.parametrize("a,b", [([1.0, 2.0], [1.0]), ([0.0, 1.0], [1.0, 1.0]), ([], [])])
def test_ratio_refuses_samples_that_cannot_be_paired_or_divided(a, b):
    with pytest.raises(ValueError):
        stats.ratio_interval(a, b, "lower")


@pytest.mark.parametrize("n,seed", [(300, 1), (2697, 2)])
def test_mean_difference_of_few_distinct_values_agrees_with_scipys_bootstrap(n, seed):
    differences = ndcg(n, seed) - ndcg(n, seed + 100)
    rng = np.random.default_rng(1)
    want = scipy_stats.bootstrap(
        (differences,), np.mean, n_resamples=10_000, method="percentile", batch=500, rng=rng
    )
    found = stats.mean_difference_interval(differences)
    error = MONTE_CARLO * want.standard_error
    assert found.estimate == pytest.approx(differences.mean())
    assert found.lo == pytest.approx(want.confidence_interval.low, abs=error)
    assert found.hi == pytest.approx(want.confidence_interval.high, abs=error)


def test_mean_difference_of_many_distinct_values_agrees_with_scipys_bootstrap():
    differences = np.random.default_rng(3).normal(0.01, 0.2, 500)
    assert np.unique(differences).size > stats.FEW_DISTINCT
    rng = np.random.default_rng(1)
    want = scipy_stats.bootstrap((differences,), np.mean, n_resamples=10_000, method="percentile", rng=rng)
    found = stats.mean_difference_interval(differences)
    error = MONTE_CARLO * want.standard_error
    assert found.lo == pytest.approx(want.confidence_interval.low, abs=error)
    assert found.hi == pytest.approx(want.confidence_interval.high, abs=error)


def test_both_ways_of_resampling_give_the_same_interval_within_their_monte_carlo_error():
    few = ndcg(400, 1) - ndcg(400, 2)
    many = few + 1e-9 * np.random.default_rng(4).standard_normal(400)
    a, b = stats.mean_difference_interval(few), stats.mean_difference_interval(many)
    assert a.lo == pytest.approx(b.lo, abs=MONTE_CARLO * (a.hi - a.lo) / 4)
    assert a.hi == pytest.approx(b.hi, abs=MONTE_CARLO * (a.hi - a.lo) / 4)


@pytest.mark.parametrize(
    "interval",
    [
        lambda: stats.ratio_interval(rounds(0.1, seed=3), rounds(0.2, seed=4), "lower"),
        lambda: stats.mean_difference_interval(ndcg(200, 1) - ndcg(200, 2)),
        lambda: stats.mean_interval(np.random.default_rng(0).random(200)),
        lambda: stats.mean_ratio_interval(ndcg(200, 1), ndcg(200, 2), "higher"),
    ],
)
def test_the_same_samples_give_the_same_interval(interval):
    assert interval() == interval()


def test_an_arm_has_the_same_interval_alone_and_among_others():
    columns = [np.random.default_rng(i).random(150) for i in range(4)]
    together = stats.mean_intervals(columns)
    for column, found in zip(columns, together, strict=True):
        alone = stats.mean_interval(column)
        assert (alone.lo, alone.hi) == (pytest.approx(found.lo), pytest.approx(found.hi))


def test_a_constant_has_an_interval_without_width():
    assert stats.mean_interval([0.25] * 20) == stats.Interval(0.25, 0.25, 0.25, 20)


def test_three_values_have_their_range_as_interval():
    found = stats.mean_interval([1.0, 2.0, 6.0])
    assert (found.lo, found.hi) == (pytest.approx(1.0), pytest.approx(6.0))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_an_interval_of_means_holds_its_estimate_and_stays_within_the_samples(values):
    found = stats.mean_difference_interval(values)
    slack = 1e-9 * (1 + max(map(abs, values)))
    assert found.lo <= found.estimate <= found.hi
    assert min(values) - slack <= found.lo and found.hi <= max(values) + slack


def test_a_share_that_is_mostly_zero_has_no_negative_bound():
    assert stats.mean_interval([0.0] * 9 + [100.0]).lo == 0.0


def test_ratio_of_means_takes_zeros():
    treatment, baseline = ndcg(500, 1) * 1.5, ndcg(500, 1)
    found = stats.mean_ratio_interval(treatment, baseline, "higher")
    assert (found.lo, found.estimate, found.hi) == (pytest.approx(1.5),) * 3
    assert stats.mean_ratio_interval(treatment, baseline, "lower").estimate == pytest.approx(1 / 1.5)


def test_geometric_mean_over_cases_weighs_every_case_the_same():
    twice = (rounds(1.0, n=40), rounds(2.0, n=40))
    eightfold = (rounds(1.0, n=10), rounds(8.0, n=10))
    found = stats.geometric_mean_interval([twice, eightfold], "lower")
    assert found.estimate == pytest.approx(4.0)
    assert found.n == 50


def test_geometric_mean_has_an_interval_that_narrows_with_more_rounds():
    def width(n):
        cases = [(rounds(1.0, n, 0.1, i), rounds(2.0, n, 0.1, i + 50)) for i in range(3)]
        found = stats.geometric_mean_interval(cases, "lower")
        assert found.lo < 2.0 < found.hi
        return found.hi - found.lo

    assert width(400) < width(25)


def test_median_bounds_are_the_order_statistics_of_the_binomial():
    values = np.arange(1, 101, dtype=float)
    found = stats.percentile_interval(values)
    below = scipy_stats.binom(100, 0.5)
    assert below.cdf(found.lo - 1) <= 0.025 < below.cdf(found.lo)
    assert found.lo <= found.estimate == 50.5 <= found.hi
    assert stats.percentile_interval(values[::-1]) == found


def test_percentile_bounds_of_few_samples_are_their_range():
    found = stats.percentile_interval([3.0, 1.0, 2.0])
    assert (found.lo, found.estimate, found.hi) == (1.0, 2.0, 3.0)


def test_spread_is_largest_less_smallest():
    assert stats.spread([0.3, 0.1, 0.2]) == pytest.approx(0.2)
