"""The estimators: what is independent, what the interval holds, and the faults of the old ones."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from remeasure.judging import estimates
from remeasure.judging.estimates import (
    crossed_parts,
    of_draws,
    of_processes,
    of_seeds,
    of_share,
    of_unit_ratio,
    of_units,
    summed,
)

RNG = np.random.default_rng(11)


def test_the_process_is_what_is_independent_however_many_rounds_it_has():
    """Three processes 20 % apart: the interval over 120 rounds left all of them outside."""
    rounds = [math.log(middle) + RNG.normal(0, 0.03, 40) for middle in (7.36, 6.13, 5.85)]
    interval = of_processes(rounds)
    assert interval.n == 3
    assert interval.lo < 5.85 and interval.hi > 7.36
    assert interval.design_effect > 10
    pooled = np.concatenate(rounds)
    half = stats.t.ppf(0.975, pooled.size - 1) * pooled.std() / math.sqrt(pooled.size)
    assert math.exp(pooled.mean() - half) > 5.85


def test_times_are_t_over_the_medians_of_processes():
    rounds = [np.array([1.0, 1.1, 5.0]), np.array([1.2, 1.2, 1.3]), np.array([0.9, 1.0, 1.1])]
    medians = np.array([1.1, 1.2, 1.0])
    theirs = stats.ttest_1samp(medians, 0).confidence_interval()
    interval = of_processes(rounds)
    assert math.log(interval.estimate) == pytest.approx(medians.mean())
    assert (math.log(interval.lo), math.log(interval.hi)) == pytest.approx((theirs.low, theirs.high))


def test_the_design_effect_of_times_is_their_variance_over_that_of_so_many_independent_rounds():
    rounds = [np.array([1.0, 1.1, 5.0]), np.array([1.2, 1.2, 1.3])]
    every = np.concatenate(rounds)
    medians = np.array([1.1, 1.2])
    interval = of_processes(rounds)
    assert (interval.n, interval.kind) == (2, "interval")
    assert interval.design_effect == pytest.approx((medians.var(ddof=1) / 2) / (every.var(ddof=1) / 6))
    assert of_processes([np.ones(3), np.ones(3)]).design_effect is None


def test_means_and_variances_are_along_the_last_axis():
    values = RNG.normal(0, 1, (2, 3, 4))
    mean, variance = estimates.mean_parts(values)
    assert mean == pytest.approx(values.mean(axis=2))
    assert variance == pytest.approx(values.var(axis=2, ddof=1) / 4)
    single, nothing = estimates.mean_parts(values[..., :1])
    assert single == pytest.approx(values[..., 0])
    assert nothing.shape == (2, 3) and not nothing.any()


def test_one_process_has_a_number_and_no_interval():
    assert of_processes([np.log([2.0, 2.0, 2.0])]) == estimates.alone(pytest.approx(2.0), 1)


def test_seeds_of_a_simulation():
    values = np.array([1.0, 1.3, 0.9])
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert (of_seeds(values).lo, of_seeds(values).hi) == pytest.approx((theirs.low, theirs.high))
    assert of_seeds(values).hi > 1.3, "three seeds must not have their range as interval"
    assert of_seeds(values, logs=True).estimate == pytest.approx(stats.gmean(values))
    assert of_seeds(values[:1]).kind == "none"


def layout(values):
    """Mean squares of a two-way layout, term by term."""
    units, seeds = values.shape
    mean, by_unit, by_seed = values.mean(), values.mean(axis=1), values.mean(axis=0)
    ms_unit = seeds * sum((unit - mean) ** 2 for unit in by_unit) / (units - 1)
    ms_seed = units * sum((seed - mean) ** 2 for seed in by_seed) / (seeds - 1)
    residual = sum(
        (values[u, s] - by_unit[u] - by_seed[s] + mean) ** 2 for u in range(units) for s in range(seeds)
    ) / ((units - 1) * (seeds - 1))
    return max(ms_seed - residual, 0) / values.size, ms_unit / values.size


@given(st.integers(2, 30), st.integers(2, 6), st.integers(0, 99))
def test_parts_of_units_and_seeds_are_the_mean_squares_of_the_layout(units, seeds, seed):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (units, seeds)) + rng.normal(0, 1, (1, seeds))
    assert crossed_parts(values) == pytest.approx(layout(values))
    many = np.stack([values, values * 2])
    assert np.array(crossed_parts(many))[:, 1] == pytest.approx(4 * np.array(layout(values)))


def test_training_seeds_that_differ_widen_what_users_alone_would_say():
    users = RNG.normal(0.3, 0.2, (2000, 1))
    values = users + np.array([[-0.02, 0.0, 0.02]])
    both, alone = of_units(values), of_units(values.mean(axis=1, keepdims=True))
    assert both.hi - both.lo > 2 * (alone.hi - alone.lo)
    assert both.n == 2000 and both.design_effect > 4


def test_one_seed_is_t_over_the_units():
    values = RNG.normal(0, 1, (50, 1))
    theirs = stats.ttest_1samp(values[:, 0], 0).confidence_interval()
    assert (of_units(values).lo, of_units(values).hi) == pytest.approx((theirs.low, theirs.high))


def test_of_a_fixed_test_set_only_seeds_are_random():
    values = RNG.normal(0, 1, (500, 1)) + np.array([[0.0, 0.01, 0.02]])
    fixed = of_units(values, fixed=True)
    theirs = stats.ttest_1samp(values.mean(axis=0), 0).confidence_interval()
    assert (fixed.lo, fixed.hi) == pytest.approx((theirs.low, theirs.high))
    assert of_units(values[:, :1], fixed=True).kind == "none"

    assert of_units(values[:, :1], fixed=True).n == 500
    assert (of_units(values[:, :2], fixed=True).kind, of_units(values[:, :2], fixed=True).n) == (
        "interval",
        2,
    )
    assert of_units(values[:1], fixed=True).kind == "interval"  # of one unit, three seeds


def test_two_units_have_an_interval_and_one_has_none():
    two = of_units(np.array([[1.0], [2.0]]))
    theirs = stats.ttest_1samp([1.0, 2.0], 0).confidence_interval()
    assert (two.lo, two.hi) == pytest.approx((theirs.low, theirs.high))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert of_units(np.array([[3.0]])) == estimates.alone(3.0, 1)
        assert of_units(np.array([[3.0, 4.0]])) == estimates.alone(3.5, 1)


def test_the_design_effect_of_units_is_their_variance_over_that_of_so_many_independent_samples():
    values = RNG.normal(0, 1, (20, 3)) + RNG.normal(0, 1, (20, 1))
    assert of_units(values).design_effect == pytest.approx(sum(layout(values)) / (values.var(ddof=1) / 60))
    pair = np.array([[0.0], [2.0]])
    assert of_units(pair).design_effect == pytest.approx(1.0)
    assert of_units(np.ones((4, 2))).design_effect is None


def test_two_training_seeds_are_a_part_of_their_own():
    values = RNG.normal(0, 1, (30, 2)) + np.array([[0.0, 3.0]])
    of_seed, of_unit = layout(values)
    interval = of_units(values)
    assert [part.df for part in interval.parts] == [29, 1]
    assert [part.variance for part in interval.parts] == pytest.approx([of_unit, of_seed])


def test_of_one_seed_all_variance_is_of_units():
    values = RNG.normal(0, 1, (3, 5, 1))
    of_seed, of_unit = crossed_parts(values)
    assert of_seed.shape == (3,) and not of_seed.any()
    assert of_unit == pytest.approx(values[..., 0].var(axis=1, ddof=1) / 5)


def test_units_of_one_cluster_are_not_independent():
    users = np.repeat(np.arange(40), 25)
    values = np.repeat(RNG.normal(0, 1, 40), 25)[:, None] + RNG.normal(0, 0.1, (1000, 1))
    apart, together = of_units(values), of_units(values, users)
    assert together.estimate == apart.estimate
    assert together.n == 40
    assert together.hi - together.lo > 4 * (apart.hi - apart.lo)
    means = values[:, 0].reshape(40, 25).mean(axis=1)
    theirs = stats.ttest_1samp(means, 0).confidence_interval()
    assert (together.lo, together.hi) == pytest.approx((theirs.low, theirs.high))


def test_of_clusters_of_several_sizes_what_differs_is_their_sums_about_the_mean():
    """Linearisation: a large cluster far from the mean weighs more than a small one."""
    values = np.array([[0.2], [0.4], [0.9], [0.8], [0.1]])
    labels = np.array([0, 1, 1, 1, 0])
    interval = of_units(values, labels)
    sums = np.array(
        [values[labels == label].sum() - (labels == label).sum() * values.mean() for label in (0, 1)]
    )
    variance = (sums * 2 / 5).var(ddof=1) / 2
    assert interval.hi - interval.estimate == pytest.approx(stats.t.ppf(0.975, 1) * math.sqrt(variance))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(0, 99))
def test_sums_of_clusters_keep_the_mean_over_units(labels, seed):
    _, labels = np.unique(labels, return_inverse=True)
    values = np.random.default_rng(seed).normal(0, 1, (len(labels), 2))
    sums = summed(values, labels)
    assert sums.shape == (labels.max() + 1, 2)
    assert sums.mean() == pytest.approx(values.mean())
    first = values[labels == 0].sum(axis=0) * (labels.max() + 1) / len(labels)
    assert sums[0] == pytest.approx(first)


def test_a_ratio_of_means_agrees_with_the_delta_method_and_takes_zeros():
    under = np.maximum(RNG.normal(0.3, 0.3, (3000, 1)), 0)
    over = np.maximum(under + RNG.normal(0.03, 0.2, (3000, 1)), 0)
    interval = of_unit_ratio(over, under)
    ratio = over.mean() / under.mean()
    residual = (over - ratio * under)[:, 0] / under.mean()
    assert interval.estimate == pytest.approx(ratio)
    assert interval.hi - ratio == pytest.approx(
        stats.t.ppf(0.975, 2999) * residual.std(ddof=1) / math.sqrt(3000)
    )


@pytest.mark.parametrize(("successes", "n"), [(0, 6), (3, 6), (6, 6), (199, 200)])
def test_shares_have_the_exact_interval(successes, n):
    theirs = stats.binomtest(successes, n).proportion_ci(0.95, method="exact")
    interval = of_share(successes, n, 100.0)
    assert (interval.lo, interval.hi) == pytest.approx((100 * theirs.low, 100 * theirs.high))
    assert of_share(successes, n).estimate == pytest.approx(successes / n)
    assert interval.hi > interval.lo, "equal samples never have an interval without width"


def test_draws_have_a_range_that_more_of_them_do_not_narrow():
    few, many = of_draws(RNG.normal(0, 1, 200)), of_draws(RNG.normal(0, 1, 20_000))
    assert few.kind == many.kind == "range"
    assert (many.hi - many.lo) == pytest.approx(few.hi - few.lo, rel=0.2)
    exact = of_draws(np.arange(1001.0))
    assert (exact.estimate, exact.lo, exact.hi, exact.n) == pytest.approx((500, 25, 975, 1001))
