"""The verdict table: every row and boundary, and that the rules are total, exclusive and monotone."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.judging import rules
from remeasure.judging.rules import STRENGTH, difference_verdict, ratio_bounds, ratio_verdict

# With c = 2 and the usual tolerance: L = max(1.6, 1.5) = 1.6 and U = min(2.5, 3) = 2.5; δ = 0.02.
ROWS = [
    (0.90, 0.97, "contradicted"),
    (0.90, 1 / 1.02, "not reproduced"),  # contradicted only below 1/(1+δ)
    (0.90, 1.00, "not reproduced"),
    (1.02, 1.59, "not reproduced"),  # lo = 1+δ is no clear effect
    (1.0201, 1.59, "direction only"),
    (1.02, 1.60, "inconclusive"),  # hi = L does not exclude the claimed size
    (0.50, 3.00, "inconclusive"),
    (1.30, 1.59, "direction only"),
    (1.30, 1.60, "direction only"),
    (1.59, 9.00, "direction only"),
    (1.60, 1.60, "reproduced"),
    (1.60, 2.50, "reproduced"),
    (1.90, 2.40, "reproduced"),
    (2.50, 2.60, "reproduced"),  # lo = U is still the claimed size
    (2.5001, 2.60, "reproduced, stronger"),
    (4.00, 5.00, "reproduced, stronger"),
]


@pytest.mark.parametrize("lo,hi,word", ROWS)
def test_ratio_rows(lo, hi, word):
    assert ratio_verdict(lo, hi, claimed=2.0).word == word


def test_bounds_of_the_claimed_size():
    assert ratio_bounds(2.0) == (1.6, 2.5)
    assert ratio_bounds(1.504) == (pytest.approx(1.252), pytest.approx(1.88))
    assert ratio_bounds(1.10) == (pytest.approx(1.05), pytest.approx(1.20))
    assert ratio_bounds(2.0, tolerance=1.1) == (pytest.approx(2 / 1.1), pytest.approx(2.2))


@pytest.mark.parametrize(
    "lo,hi,size",
    [
        (1.30, 1.59, "smaller than claimed"),
        (1.30, 1.60, "not resolved"),
        (1.70, 2.50, "as claimed"),
        (1.70, 2.51, "as claimed, upper end open"),
        (2.60, 2.70, "larger than claimed"),
    ],
)
def test_size_is_said_apart_from_direction(lo, hi, size):
    verdict = ratio_verdict(lo, hi, claimed=2.0)
    assert (verdict.size, verdict.direction) == (size, "favours the treatment")


def test_a_claim_smaller_than_the_noise_is_below_resolution_whatever_was_measured():
    for lo, hi in ((0.5, 0.6), (1.0, 1.1), (3.0, 4.0)):
        assert ratio_verdict(lo, hi, claimed=1.03).word == "below resolution"
    # L = 1.02 is not less than 1+δ.
    assert ratio_verdict(1.03, 1.05, claimed=1.04).word == "reproduced"
    assert ratio_verdict(1.03, 1.05, claimed=1.04, delta=0.03).word == "below resolution"


def test_resolution_is_how_far_the_control_reaches_from_one_and_never_below_two_percent():
    assert rules.resolution() == 0.02
    assert rules.resolution(0.995, 1.005) == 0.02
    assert rules.resolution(0.97, 1.04) == pytest.approx(0.04)
    assert rules.resolution(0.95, 1.01) == pytest.approx(0.05)


def test_noise_widens_what_counts_as_no_effect():
    assert ratio_verdict(1.03, 1.5, claimed=2.0).word == "direction only"
    assert ratio_verdict(1.03, 1.5, claimed=2.0, delta=0.04).word == "not reproduced"


numbers = st.floats(0.01, 100)
intervals = st.tuples(numbers, numbers).map(sorted)
claims = st.floats(0.5, 50)
deltas = st.floats(0.02, 0.5)
tolerances = st.floats(1.01, 3)


def conditions(lo, hi, claimed, delta, tolerance):
    """The rows of the design's table, each for itself, before `first row that holds` is applied."""
    lower, upper = ratio_bounds(claimed, tolerance)
    return {
        "contradicted": hi < 1 / (1 + delta),
        "not reproduced": lo <= 1 + delta and hi < lower and not hi < 1 / (1 + delta),
        "direction only": lo > 1 + delta and (hi < lower or lo < lower <= hi),
        "reproduced": lo > 1 + delta and lower <= lo <= upper,
        "reproduced, stronger": lo > 1 + delta and lo > upper,
    }


@given(intervals, claims, deltas, tolerances)
def test_ratio_rows_are_exclusive_and_total(interval, claimed, delta, tolerance):
    lo, hi = interval
    word = ratio_verdict(lo, hi, claimed, delta, tolerance).word
    if ratio_bounds(claimed, tolerance)[0] < 1 + delta:
        assert word == "below resolution"
        return
    holding = [row for row, holds in conditions(lo, hi, claimed, delta, tolerance).items() if holds]
    assert len(holding) <= 1
    assert word == (holding[0] if holding else "inconclusive")


@given(intervals, intervals, claims, deltas, tolerances)
def test_ratio_verdict_never_weakens_when_the_interval_moves_up(first, second, claimed, delta, tolerance):
    low = [min(a, b) for a, b in zip(first, second, strict=True)]
    high = [max(a, b) for a, b in zip(first, second, strict=True)]
    below, above = (ratio_verdict(*ends, claimed, delta, tolerance).word for ends in (low, high))
    if "below resolution" in (below, above):
        assert below == above
    else:
        assert STRENGTH.index(below) <= STRENGTH.index(above)


@given(st.floats(1.0, 50), tolerances)
def test_the_claimed_number_is_always_within_its_own_bounds(claimed, tolerance):
    lower, upper = ratio_bounds(claimed, tolerance)
    assert lower <= claimed * (1 + 1e-12) and claimed <= upper * (1 + 1e-12)


DIFFERENCES = [
    (-0.02, -0.001, "contradicted"),
    (-0.02, 0.0, "not reproduced"),  # hi = 0 contradicts nothing
    (-0.01, 0.0049, "not reproduced"),
    (-0.01, 0.005, "inconclusive"),  # the smallest difference that matters is not excluded
    (0.0, 0.004, "not reproduced"),
    (0.0, 0.02, "inconclusive"),
    (0.0001, 0.001, "reproduced"),
    (0.001, 0.02, "reproduced"),
]


@pytest.mark.parametrize("lo,hi,word", DIFFERENCES)
def test_difference_rows(lo, hi, word):
    assert difference_verdict(lo, hi).word == word


@pytest.mark.parametrize(
    "lo,hi,word,size",
    [
        (0.002, 0.009, "direction only", "smaller than claimed"),
        (0.002, 0.015, "direction only", "not resolved"),
        (0.010, 0.030, "reproduced", "as claimed"),
        (0.010, 0.050, "reproduced", "as claimed, upper end open"),
        (0.041, 0.050, "reproduced, stronger", "larger than claimed"),
    ],
)
def test_a_claimed_difference_is_judged_by_its_size_too(lo, hi, word, size):
    verdict = difference_verdict(lo, hi, claimed=0.02)
    assert (verdict.word, verdict.size) == (word, size)


@pytest.mark.parametrize("claimed", [None, 0.0, -0.02])
def test_a_difference_without_a_claimed_gain_is_judged_by_its_sign(claimed):
    verdict = difference_verdict(0.1, 0.2, claimed=claimed)
    assert (verdict.word, verdict.size) == ("reproduced", "only the sign is claimed")


small = st.floats(-0.2, 0.2)
pairs_of_ends = st.tuples(small, small).map(sorted)
sizes = st.one_of(st.none(), st.floats(0.001, 0.1))
seeds_measured = st.integers(1, 5)


def as_far_as(seeds, verdict):
    return verdict if seeds >= 3 else rules.few_seeds(verdict, seeds)


@given(pairs_of_ends, pairs_of_ends, seeds_measured, sizes)
def test_difference_verdict_never_weakens_when_the_interval_moves_up(first, second, seeds, claimed):
    def word(ends):
        return STRENGTH.index(as_far_as(seeds, difference_verdict(*ends, claimed=claimed)).word)

    low = [min(a, b) for a, b in zip(first, second, strict=True)]
    high = [max(a, b) for a, b in zip(first, second, strict=True)]
    assert word(low) <= word(high)


@given(pairs_of_ends)
def test_difference_rows_are_exclusive_and_total(ends):
    lo, hi = ends
    rows = {
        "contradicted": hi < 0,
        "not reproduced": lo <= 0 and 0 <= hi < 0.005,
        "reproduced": lo > 0,
    }
    holding = [row for row, holds in rows.items() if holds]
    assert len(holding) <= 1
    assert difference_verdict(lo, hi).word == (holding[0] if holding else "inconclusive")


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_reach_direction_only_and_contradict_nothing(seeds):
    words = {
        ends: rules.few_seeds(difference_verdict(*ends), seeds)
        for ends in ((0.01, 0.03), (-0.03, -0.01), (-1, 0))
    }
    assert [verdict.word for verdict in words.values()] == ["direction only", "inconclusive", "inconclusive"]
    assert all("at least 3" in verdict.reason for verdict in words.values())


@given(intervals, intervals, claims, deltas, tolerances)
def test_a_ratio_of_few_seeds_never_weakens_when_the_interval_moves_up(
    first, second, claimed, delta, tolerance
):
    low = [min(a, b) for a, b in zip(first, second, strict=True)]
    high = [max(a, b) for a, b in zip(first, second, strict=True)]
    below, above = (
        rules.few_seeds(ratio_verdict(*ends, claimed, delta, tolerance), 2).word for ends in (low, high)
    )
    assert STRENGTH.index(below) <= STRENGTH.index(above)


@pytest.mark.parametrize(
    "lo,hi,word",
    [
        (0.9, 0.97, "contradicted"),
        (0.9, 1 / 1.02, "inconclusive"),  # contradicted only below 1/(1+δ)
        (0.9, 1.5, "inconclusive"),
        (1.02, 1.5, "inconclusive"),
        (1.021, 1.5, "reproduced"),
    ],
)
def test_sign_of_a_ratio(lo, hi, word):
    assert rules.sign_verdict(lo, hi).word == word


def test_an_order_is_as_good_as_its_weakest_pair():
    pairs = [rules.sign_verdict(*ends) for ends in ((2, 3), (0.9, 1.5), (1.5, 2))]
    assert rules.ordering_verdict(pairs).word == "inconclusive"
    assert rules.ordering_verdict([*pairs, rules.sign_verdict(0.5, 0.6)]).word == "contradicted"
    assert rules.ordering_verdict(pairs[::2]).word == "reproduced"


@pytest.mark.parametrize(
    "lo,hi,word",
    [
        (-0.01, 0.03, "reproduced"),
        (-0.02, 0.03, "reproduced"),  # touching the margin is within it
        (-0.021, 0.03, "inconclusive"),
        (-0.05, -0.02, "inconclusive"),
        (-0.05, -0.021, "contradicted"),
    ],
)
def test_bound_wants_the_whole_interval_on_the_right_side(lo, hi, word):
    assert rules.bound_verdict(lo, hi, -0.02).word == word
    assert rules.bound_verdict(-hi, -lo, 0.02, at_most=True).word == word


@pytest.mark.parametrize(
    "estimate,lo,hi,word",
    [
        (0.97, 0.96, 0.98, "reproduced"),
        (0.98, 0.97, 0.99, "reproduced"),  # at the tolerance, the interval at twice the tolerance
        (0.96, 0.95, 0.97, "reproduced"),
        (0.97, 0.94, 1.00, "inconclusive"),  # the interval is wider than twice the tolerance
        (0.97, 0.945, 0.975, "inconclusive"),
        (0.97, 0.965, 0.995, "inconclusive"),
        (math.nan, 0.96, 0.98, "inconclusive"),
        (0.985, 0.975, 0.995, "inconclusive"),  # outside the tolerance, but the interval is not
        (0.995, 0.981, 1.01, "not reproduced"),
        (0.5, 0.4, 0.6, "not reproduced"),
        (0.97, 0.97, 0.97, "reproduced"),
        (0.5, 0.5, 0.5, "not reproduced"),
    ],
)
def test_value_within_its_absolute_tolerance(estimate, lo, hi, word):
    assert rules.value_verdict(estimate, lo, hi, claimed=0.97, tolerance=0.01).word == word


ends_and_estimate = st.tuples(small, small, small).map(sorted)


@given(ends_and_estimate, st.floats(0.001, 0.1))
def test_value_rows_are_exclusive_and_total(triple, tolerance):
    lo, estimate, hi = triple
    word = rules.value_verdict(estimate, lo, hi, 0.0, tolerance).word
    outside = lo > tolerance or hi < -tolerance
    within = abs(estimate) <= tolerance and -2 * tolerance <= lo and hi <= 2 * tolerance
    assert not (outside and within)
    assert word == ("not reproduced" if outside else "reproduced" if within else "inconclusive")


def test_property():
    held, failed = rules.property_verdict(True), rules.property_verdict(False)
    assert (held.word, held.size) == ("reproduced", "its test passed")
    assert (failed.word, failed.size) == ("contradicted", "its test failed")


def test_a_bound_names_its_limit_and_its_side():
    assert rules.bound_verdict(1.0, 2.0, 0.5).size == "limit: at least 0.5"
    assert rules.bound_verdict(1.0, 2.0, 0.5, at_most=True).size == "limit: at most 0.5"


def test_against_the_claim_its_size_is_excluded():
    assert ratio_verdict(0.5, 0.6, claimed=2.0).size == "excluded"


@given(st.floats(allow_nan=True), st.floats(allow_nan=True), st.floats(allow_nan=True))
def test_rules_have_a_word_for_any_numbers(lo, hi, mean):
    for verdict in (
        ratio_verdict(lo, hi, 2.0),
        difference_verdict(lo, hi),
        rules.few_seeds(difference_verdict(lo, hi, claimed=0.1), 1),
        rules.value_verdict(mean, lo, hi, 0.5, 0.1),
        rules.sign_verdict(lo, hi),
        rules.bound_verdict(lo, hi, 0.0),
    ):
        assert verdict.word in STRENGTH
