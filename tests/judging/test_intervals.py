"""Intervals from the parts of a variance: bounds, p-values, what could have been detected."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from remeasure.judging.estimates import of_seeds, of_share, of_units
from remeasure.judging.intervals import Interval, Part, alone, half_width, of_parts

ONE = (Part(0.01, 4),)
TWO = (Part(0.01, 4), Part(0.04, 200))


def test_one_part_is_the_plain_t_interval():
    values = np.array([1.0, 1.2, 0.9, 1.1, 1.3])
    interval = of_parts(values.mean(), (Part(values.var(ddof=1) / 5, 4),), 5)
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.lo, interval.hi) == pytest.approx((theirs.low, theirs.high))
    assert interval.p(1.0) == pytest.approx(stats.ttest_1samp(values, 1.0).pvalue)
    assert interval.at(0.9) == pytest.approx(stats.ttest_1samp(values, 0).confidence_interval(0.9))


def test_two_parts_add_their_squared_half_widths():
    wide = half_width(TWO, 0.95)
    assert wide**2 == pytest.approx(half_width(TWO[:1], 0.95) ** 2 + half_width(TWO[1:], 0.95) ** 2)


@given(st.floats(-3, 3), st.sampled_from([ONE, TWO]), st.floats(-3, 3))
def test_p_is_below_alpha_exactly_where_the_interval_excludes_the_value(centre, parts, null):
    interval = of_parts(centre, parts, 5)
    p = interval.p(null)
    edge = min(abs(null - interval.lo), abs(null - interval.hi))
    if edge > 1e-6:
        assert (p < 0.05) == (null < interval.lo or null > interval.hi)


SHARP = (Part(1e-6, 200), Part(4e-6, 300))


def test_p_is_right_however_small_until_nothing_is_left_of_it():
    one = of_parts(0.0, (Part(1.0, 200),), 201)
    assert one.p(12.0) == pytest.approx(2 * stats.t.sf(12.0, 200), rel=1e-9)
    assert 0 < one.p(12.0) < 1e-20
    two = of_parts(0.0, SHARP, 201)
    edge = half_width(SHARP, 1 - 1e-9)
    assert two.p(edge) == pytest.approx(1e-9, rel=1e-3)
    assert two.p(1.01 * half_width(SHARP, 1 - 1e-12)) == 0.0
    assert two.p(0.9) == 0.0


def test_of_parts_without_variance_the_other_is_all_there_is():
    assert of_parts(0.0, (Part(0.0, 3), *ONE), 5).p(0.3) == of_parts(0.0, ONE, 5).p(0.3)


def test_a_ratio_too_large_for_a_number_ends_at_the_largest():
    interval = of_parts(800.0, ONE, 5, logs=True)
    assert interval.lo == interval.estimate == interval.hi == math.exp(700)
    wide = of_parts(650.0, (Part(1e4, 4),), 5, logs=True)
    assert wide.at(0.9)[1] == math.exp(700)


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_interval_is_finite_where_all_of_it_is(place, value):
    numbers = [1.0, 0.5, 1.5]
    assert Interval(*numbers, 3).finite
    numbers[place] = value
    assert not Interval(*numbers, 3).finite


def test_a_plain_interval_has_both_ends_and_a_test():
    plain = Interval(1.0, 0.5, 1.5, 3, parts=ONE)
    assert plain.p(1.0) == pytest.approx(1.0)
    assert plain.scaled(10.0).lo == 5.0 and plain.scaled(10.0).hi == 15.0
    ratio = of_parts(math.log(2.0), ONE, 5, logs=True)
    assert (ratio.inverted().lo, ratio.inverted().hi) == pytest.approx((1 / ratio.hi, 1 / ratio.lo))
    assert Interval(1.0, 0.5, 1.5, 3).detectable() is None
    assert Interval(1.0, 0.5, 1.5, 3, "range", ONE).detectable() is None


def test_logarithms_make_the_interval_a_factor_around_its_estimate():
    interval = of_parts(math.log(2.0), ONE, 5, logs=True)
    assert interval.estimate == pytest.approx(2.0)
    assert interval.hi / 2 == pytest.approx(2 / interval.lo)
    assert interval.p(2.0) == pytest.approx(1.0)
    assert interval.p(0.0) is None


def test_equal_samples_have_no_interval_instead_of_one_without_width():
    interval = of_parts(3.0, (Part(0.0, 4),), 5)
    assert interval.kind == "none"
    assert interval.p(1.0) is None and interval.detectable() is None


@pytest.mark.parametrize("value", [0.1, 1.5, 7.3, 3e5])
@pytest.mark.parametrize("n", [3, 5, 6, 7, 10])
def test_what_rounding_leaves_of_equal_samples_is_no_spread(value, n):
    assert of_seeds(np.full(n, value), logs=True).kind == "none"
    assert of_seeds(np.full(n, -value)).kind == "none"
    assert of_units(np.full((n, 3), value)).kind == "none"
    spread = np.full(n, value)
    spread[0] *= 1 + 1e-9
    assert of_seeds(spread, logs=True).kind == of_seeds(spread).kind == "interval"
    assert of_seeds(np.arange(1.0, n + 1) * 1e-14).kind == "interval"  # small numbers, not small differences


def test_where_rounding_ends_a_spread_begins():
    just = (Part((1.05e-12 / stats.t.ppf(0.975, 4)) ** 2, 4),)
    assert of_parts(0.0, just, 5, logs=True).kind == "interval"
    assert of_parts(1.0, just, 5).kind == "interval"
    less = (Part((0.95e-12 / stats.t.ppf(0.975, 4)) ** 2, 4),)
    assert of_parts(0.0, less, 5, logs=True).kind == of_parts(1.0, less, 5).kind == "none"
    assert of_seeds(np.zeros(5)).kind == "none"


def test_a_share_is_one_of_one_unless_it_says_otherwise():
    assert Interval(0.9, 0.5, 1.0, 10, trials=10).p(0.5) == pytest.approx(stats.binomtest(9, 10, 0.5).pvalue)


def test_a_scaled_interval_and_an_inverted_ratio_keep_their_p():
    ratio = of_parts(math.log(2.0), ONE, 5, logs=True)
    assert ratio.inverted().estimate == pytest.approx(0.5)
    assert ratio.inverted().p(1.0) == pytest.approx(ratio.p(1.0))
    plain = of_parts(2.0, TWO, 5)
    assert plain.scaled(60.0).p(60.0) == pytest.approx(plain.p(1.0))
    assert plain.scaled(-1.0).lo == pytest.approx(-plain.hi)


def test_an_effect_of_the_detectable_size_is_found_in_four_of_five_repeats():
    rng = np.random.default_rng(7)
    values = rng.normal(0, 1, (4000, 8))
    typical = of_parts(0.0, (Part(1 / 8, 7),), 8).detectable()
    moved = values + typical
    halves = stats.t.ppf(0.975, 7) * moved.std(axis=1, ddof=1) / math.sqrt(8)
    found = (moved.mean(axis=1) - halves > 0).mean()
    assert 0.76 <= found <= 0.86
    assert of_parts(0.0, ONE, 5, logs=True).detectable() > 1


def test_a_range_and_a_plain_value_have_no_p():
    assert Interval(1.0, 0.5, 2.0, 200, "range").p(1.0) is None
    assert alone(1.0, 1).p(0.0) is None


@pytest.mark.parametrize("top", [1.0, 100.0])
def test_p_of_a_share_is_the_exact_binomial_one(top):
    share = of_share(9, 10, top)
    assert share.p(0.5 * top) == pytest.approx(stats.binomtest(9, 10, 0.5).pvalue)


def test_p_of_a_share_below_one_percent_is_not_taken_for_one_of_one():
    none = of_share(0, 1000, 100.0)
    assert none.hi < 1
    assert none.p(0.5) == pytest.approx(2 * stats.binom.cdf(0, 1000, 0.005))


@pytest.mark.parametrize("null", [-0.2, 1.2])
def test_p_of_a_share_against_what_no_share_can_be_is_none_at_all(null):
    assert of_share(9, 10).p(null) == 0.0
