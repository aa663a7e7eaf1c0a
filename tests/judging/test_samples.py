"""From the samples of blocks to one effect: what is paired, averaged and independent, metric by metric."""

import math
from dataclasses import replace

import numpy as np
import pytest
from judging.judged_records import block, of
from records_factory import CPU, LATENCY, NDCG, SPEEDUP, STEPS, TTFT
from scipy import stats

from remeasure.records.record import TWIN_SUFFIX

HITS = replace(NDCG, name="hits", unit="%")
SCORE = replace(NDCG, name="score", per="seed")
ROUNDS = replace(NDCG, name="of rounds", per="round")
GAIN = replace(LATENCY, name="gain", unit="×", better="higher")


def interval(effect):
    return effect.interval.estimate, effect.interval.lo, effect.interval.hi


def t_of(values, logs=False):
    values = np.log(values) if logs else np.asarray(values)
    bounds = stats.ttest_1samp(values, 0).confidence_interval()
    found = (values.mean(), bounds.low, bounds.high)
    return pytest.approx(tuple(map(math.exp, found)) if logs else found)


# --- which samples there are


def test_arms_are_those_that_any_block_measured_in_declared_order_without_the_twin():
    one = block(LATENCY, slow=[1], ours=[2], **{"slow" + TWIN_SUFFIX: [1]})
    two = block(LATENCY, seed=2, slow=[1], late=[2], idle=[])
    assert of(LATENCY, one, two).arms == ["slow", "ours", "late"]
    assert [values.tolist() for values in of(LATENCY, one, two).of("ours")] == [[2.0]]
    assert of(LATENCY, one, two).of("nobody") == []


def test_arms_are_paired_block_by_block_and_a_block_without_both_has_nothing_to_say():
    whole, none = block(LATENCY, a=[1, 2], b=[3, 4]), block(LATENCY, seed=2, c=[1])
    ((ours, theirs),) = of(LATENCY, none, whole).pairs("a", "b")
    assert (ours.tolist(), theirs.tolist()) == ([1, 2], [3, 4])
    with pytest.raises(ValueError, match="2 and 1 samples cannot be paired"):
        of(LATENCY, block(LATENCY, a=[1, 2], b=[3])).pairs("a", "b")
    with pytest.raises(ValueError, match="1 and 0 samples"):
        of(LATENCY, whole, block(LATENCY, seed=2, a=[1])).pairs("a", "b")
    with pytest.raises(ValueError, match="no samples of a and b"):
        of(LATENCY, none).pairs("a", "b")
    with pytest.raises(ValueError, match=r"no samples of a$"):
        of(LATENCY, none).level("a")


@pytest.mark.parametrize(
    ("metric", "over_units"), [(NDCG, True), (HITS, True), (SCORE, False), (ROUNDS, False), (STEPS, False)]
)
def test_only_quality_of_something_that_recurs_is_over_units(metric, over_units):
    assert of(metric, block(metric, a=[1])).over_units is over_units


# --- one value a seed


def test_a_level_of_a_simulation_is_over_seeds():
    effect = of(LATENCY, *(block(LATENCY, seed, a=[seed, seed + 2]) for seed in (1, 2, 4))).level("a")
    assert interval(effect) == t_of([2, 3, 5])
    assert effect.per_seed == (2, 3, 5)
    assert effect.how == "Mean over seeds; 95 % by Student's t over seeds."
    assert (effect.random, effect.seeded, effect.rounds, effect.units) == (True, True, 0, 0)


def test_a_metric_that_is_a_ratio_is_averaged_on_logarithms():
    effect = of(GAIN, *(block(GAIN, seed, a=[seed]) for seed in (1, 2, 4))).level("a")
    assert interval(effect) == t_of([1, 2, 4], logs=True)
    assert effect.how == "Geometric mean over seeds; 95 % by Student's t over seeds, on logarithms."
    for nothing in (0.0, -1.0):
        with pytest.raises(ValueError, match="positive"):
            of(GAIN, block(GAIN, a=[2]), block(GAIN, 2, a=[nothing])).level("a")


def test_of_several_rounds_the_median_counts_where_it_is_asked_for():
    blocks = [block(LATENCY, seed, a=[1, 2, 9]) for seed in (1, 2)]
    assert of(LATENCY, *blocks).level("a").per_seed == (4, 4)
    assert of(LATENCY, *blocks, middle=True).level("a").per_seed == (2, 2)


def test_a_ratio_favours_the_treatment_above_one_whichever_way_is_better():
    blocks = [block(LATENCY, seed, ours=[1], slow=[seed]) for seed in (2, 3, 4)]
    assert interval(of(LATENCY, *blocks).ratio("ours", "slow")) == t_of([2, 3, 4], logs=True)
    assert interval(of(LATENCY, *blocks).quotient("ours", "slow")) == t_of([1 / 2, 1 / 3, 1 / 4], logs=True)
    blocks = [block(GAIN, seed, ours=[seed], slow=[1]) for seed in (2, 3, 4)]
    effect = of(GAIN, *blocks).ratio("ours", "slow")
    assert interval(effect) == t_of([2, 3, 4], logs=True)
    assert effect.how == "Geometric mean over seeds; 95 % by Student's t over seeds, on logarithms."


@pytest.mark.parametrize("nothing", [0.0, -2.0])
@pytest.mark.parametrize("place", ["a", "b"])
def test_a_ratio_of_nothing_is_refused(nothing, place):
    for metric in (LATENCY, TTFT):
        with pytest.raises(ValueError, match="positive samples"):
            of(metric, block(metric, **{"a": [1], "b": [1], place: [nothing]})).ratio("a", "b")
    with pytest.raises(ValueError, match="positive means"):
        of(NDCG, block(NDCG, **{"a": [1, 1], "b": [1, 1], place: [nothing, 0]})).ratio("a", "b")
    with pytest.raises(ValueError, match="a time needs positive samples"):
        of(CPU, block(CPU, **{"a": [1], "b": [1], place: [nothing]})).ratio("a", "b")


@pytest.mark.parametrize("place", ["a", "b"])
def test_one_nothing_among_many_samples_is_enough_to_be_refused(place):
    draws = {"a": [1, 2], "b": [1, 2], place: [1, 0]}
    with pytest.raises(ValueError, match="positive samples"):
        of(TTFT, block(TTFT, a=[1, 2], b=[1, 2]), block(TTFT, 2, **draws)).ratio("a", "b")
    seeds = {"a": [1], "b": [1], place: [0]}
    with pytest.raises(ValueError, match="positive samples"):
        of(LATENCY, block(LATENCY, a=[1], b=[1]), block(LATENCY, 2, **seeds)).ratio("a", "b")


def test_a_difference_favours_the_treatment_above_nothing_whichever_way_is_better():
    blocks = [block(LATENCY, seed, ours=[1, 3], slow=[seed, seed]) for seed in (2, 3, 5)]
    effect = of(LATENCY, *blocks).difference("ours", "slow")
    assert interval(effect) == t_of([0, 1, 3])
    assert effect.how == "Mean over seeds; 95 % by Student's t over seeds."
    blocks = [block(GAIN, seed, ours=[seed], slow=[1]) for seed in (2, 3, 5)]
    assert interval(of(GAIN, *blocks).difference("ours", "slow")) == t_of([1, 2, 4])


def test_what_is_the_same_with_every_seed_is_exact():
    blocks = [block(STEPS, seed, a=[7], b=[14]) for seed in (1, 2)]
    effect = of(STEPS, *blocks, deterministic=True).level("a")
    assert (effect.interval.estimate, effect.interval.kind, effect.interval.n) == (7, "none", 2)
    assert (effect.random, effect.seeded, effect.how) == (False, False, "Exact: the same with every seed.")
    assert of(STEPS, *blocks, deterministic=True).ratio("a", "b").interval.estimate == 2


@pytest.mark.parametrize(("metric", "top"), [(SCORE, 1.0), (replace(SCORE, unit="%"), 100.0)])
def test_of_ones_and_zeros_a_seed_the_share_has_the_exact_interval(metric, top):
    effect = of(metric, *(block(metric, seed, a=[top * (seed > 1)]) for seed in (1, 2, 3))).level("a")
    theirs = stats.binomtest(2, 3).proportion_ci(0.95, method="exact")
    assert interval(effect) == pytest.approx((top * 2 / 3, top * theirs.low, top * theirs.high))
    assert effect.how == "Share of seeds; 95 % by Clopper–Pearson, at least."
    assert effect.per_seed == (0, top, top)


def test_what_only_looks_like_a_share_is_none():
    percent = replace(SCORE, unit="%")
    assert of(percent, *(block(percent, s, a=[s - 1]) for s in (1, 2))).level("a").how.startswith("Mean")
    assert of(SCORE, *(block(SCORE, s, a=[s / 2]) for s in (0, 1, 2))).level("a").how.startswith("Mean")


# --- draws of a model


def test_draws_have_a_range_over_all_of_them():
    one, two = [1, 2, 3, 4], [5, 6, 7, 80]
    blocks = block(TTFT, a=one, b=[2, 2, 2, 2]), block(TTFT, 2, a=two, b=[1, 1, 1, 1])
    level = of(TTFT, *blocks).level("a")
    assert level.interval.kind == "range"
    assert interval(level) == pytest.approx((4.5, *np.quantile(one + two, (0.025, 0.975))))
    assert level.per_seed == (2.5, 6.5)
    assert level.how.startswith("Median and middle 95 % over draws")
    assert of(TTFT, *blocks).quotient("a", "b").interval.estimate == pytest.approx(3.5)
    assert of(TTFT, *blocks).difference("a", "b").interval.estimate == pytest.approx(-3.0)
    fast = of(SPEEDUP, *(block(SPEEDUP, s, a=[s, s + 1], b=[1, 1]) for s in (1, 2)))
    assert fast.difference("a", "b").interval.estimate == pytest.approx(1.0)


# --- times


def test_a_time_is_the_median_of_each_process():
    blocks = block(CPU, order=3, a=[1, 2, 9]), block(CPU, 2, order=3, a=[4, 4, 5, 6])
    effect = of(CPU, *blocks).level("a")
    assert effect.per_seed == pytest.approx((2, math.sqrt(20)))
    assert interval(effect) == t_of([2, math.sqrt(20)], logs=True)
    assert effect.rounds == 3
    assert effect.how == (
        "exp of the mean over processes of each one's median log; 95 % by Student's t over processes."
    )
    ratio = of(CPU, *blocks[:1], block(CPU, 2, order=2, a=[4, 4], b=[1, 1])).level("a")
    assert ratio.rounds == 2


def test_a_ratio_of_times_is_paired_round_by_round():
    effect = of(CPU, block(CPU, order=3, ours=[1, 2, 4], slow=[2, 6, 20])).ratio("ours", "slow")
    assert effect.per_seed == pytest.approx((3,))
    assert effect.how.startswith("exp of the mean over processes of each one's median log ratio;")


def test_a_round_that_returns_many_times_counts_once():
    many = of(CPU, block(CPU, order=3, a=[1, 1, 1, 2, 2, 2, 3, 3, 9], b=[1] * 9))
    assert many.level("a").rounds == 3
    assert many.level("a").per_seed == pytest.approx((2,))
    assert many.quotient("a", "b").rounds == 3
    odd = of(CPU, block(CPU, order=2, a=[1, 2, 3]))
    assert odd.level("a").rounds == 3  # nobody knows which is whose
    unknown = of(CPU, block(CPU, order=0, a=[1, 2, 3]))
    assert unknown.level("a").rounds == 3
    once = of(CPU, block(CPU, order=3, a=[1, 2, 3]))
    assert once.level("a").rounds == 3


def test_the_twin_is_compared_with_the_arm_that_it_repeats():
    arms = {"slow": [2, 2], "slow" + TWIN_SUFFIX: [1, 1]}
    assert of(CPU, block(CPU, twin_of="slow", **arms)).noise().estimate == pytest.approx(2.0)
    late = block(CPU, 2, twin_of="slow", **arms)
    assert of(CPU, block(CPU, slow=[1], **{"slow" + TWIN_SUFFIX: [1]}), late).noise() is not None
    assert of(CPU, block(CPU, **arms)).noise() is None
    assert of(CPU, block(CPU, twin_of="slow", slow=[2, 2])).noise() is None
    assert of(LATENCY, block(LATENCY, twin_of="slow", **arms)).noise() is None


# --- judged units

USERS = ["ann", "bob", "cho"]


def test_units_are_matched_by_name_and_rounds_averaged_first():
    one = block(NDCG, order=2, units=USERS, a=[0.1, 0.2, 0.6, 0.3, 0.4, 0.8], b=[0] * 6)
    two = block(NDCG, 2, units=USERS[::-1], a=[0.9, 0.3, 0.2], b=[0, 0, 0])
    table = np.array([[0.2, 0.2], [0.3, 0.3], [0.7, 0.9]])
    effect = of(NDCG, one, two).level("a")
    assert effect.interval.estimate == pytest.approx(table.mean())
    assert effect.per_seed == pytest.approx(tuple(table.mean(axis=0)))
    assert [part.variance for part in effect.interval.parts] == pytest.approx(
        [part.variance for part in of(NDCG, *named(table)).level("a").interval.parts]
    )
    assert (effect.units, effect.interval.n) == (3, 3)
    assert effect.how == "Mean over users and seeds; 95 % by Student's t over both, crossed."


def test_a_seed_without_the_arm_is_left_out_and_those_after_it_are_not():
    blocks = [block(NDCG, 1, a=[0.1, 0.3]), block(NDCG, 2, b=[0.1, 0.3]), block(NDCG, 3, a=[0.3, 0.7])]
    assert of(NDCG, *blocks).level("a").per_seed == pytest.approx((0.2, 0.5))


def test_units_that_only_some_seeds_name_are_taken_in_the_order_they_come():
    named_, nameless = block(NDCG, units=USERS, a=[0.1, 0.2, 0.6]), block(NDCG, 2, a=[0.2, 0.4, 0.6])
    for blocks in ((named_, nameless), (nameless, named_)):
        assert of(NDCG, *blocks).level("a").interval.estimate == pytest.approx(0.35)


def named(table):
    return [block(NDCG, seed, units=USERS, a=column) for seed, column in enumerate(table.T)]


def test_units_that_are_not_the_same_are_refused():
    one = block(NDCG, units=USERS, a=[0.1, 0.2, 0.3])
    for others, said in (
        (["ann", "bob", "dee"], "different users .cho is not in all"),
        (["ann", "dee", "eve"], "different users .bob is not in all"),
        (["ann", "bob", "cho", "dee"], "different users .dee is not in all"),
    ):
        other = block(NDCG, 2, units=others, a=[0.1] * len(others))
        with pytest.raises(ValueError, match=said):
            of(NDCG, one, other).level("a")
    with pytest.raises(ValueError, match="4 samples are not of 3 users"):
        of(NDCG, block(NDCG, units=USERS, a=[0.1] * 4)).level("a")
    with pytest.raises(ValueError, match="different numbers of users; a round has to return its units"):
        of(NDCG, block(NDCG, a=[0.1, 0.2]), block(NDCG, 2, a=[0.1, 0.2, 0.3])).level("a")


def test_one_seed_is_over_units_alone_and_says_what_it_does_not_know():
    effect = of(NDCG, block(NDCG, a=[0.1, 0.2, 0.6])).level("a")
    assert interval(effect) == t_of([0.1, 0.2, 0.6])
    assert effect.how == ("Mean over users; 95 % by Student's t over users, without the spread of training.")
    assert (effect.random, effect.seeded) == (True, True)


def test_a_case_that_gives_the_same_with_every_seed_has_one_column():
    blocks = [block(NDCG, seed, a=[0.1, 0.2, 0.6 + seed / 10]) for seed in (1, 3)]
    effect = of(NDCG, *blocks, deterministic=True).level("a")
    assert interval(effect) == t_of([0.1, 0.2, 0.8])
    assert effect.how == "Mean over users; 95 % by Student's t over users."
    assert (effect.random, effect.seeded) == (True, False)
    fixed = of(NDCG, *blocks, deterministic=True).level("a", fixed=True)
    assert (fixed.random, fixed.seeded) == (False, False)


def test_of_a_fixed_population_only_seeds_are_random():
    table = np.array([[0.2, 0.3, 0.1], [0.3, 0.3, 0.2], [0.7, 0.9, 0.3]])
    effect = of(NDCG, *named(table)).level("a", fixed=True)
    assert interval(effect) == t_of(table.mean(axis=0))
    assert effect.how == "Mean over the published users; 95 % by Student's t over seeds."
    assert (effect.random, effect.seeded, effect.units) == (True, True, 3)


def test_differences_and_ratios_of_quality_are_over_the_same_units():
    worse = replace(NDCG, name="loss", better="lower")
    for metric, sign in ((NDCG, 1), (worse, -1)):
        one = block(metric, units=USERS, a=[0.2, 0.4, 0.9], b=[0.1, 0.1, 0.1])
        two = block(metric, 2, units=USERS[::-1], a=[0.8, 0.3, 0.3], b=[0.1, 0.1, 0.2])
        effect = of(metric, one, two).difference("a", "b")
        assert effect.interval.estimate == pytest.approx(sign * (0.4 + 1 / 3) / 2)
        assert effect.how.startswith("Mean paired difference over users and seeds;")
        assert effect.per_seed == pytest.approx((sign * 0.4, sign / 3))
        ratio = of(metric, one, two).quotient("a", "b")
        assert ratio.interval.estimate == pytest.approx(2.9 / 0.7)
        assert ratio.per_seed == pytest.approx((5, 3.5))
        assert ratio.how.startswith("Ratio of means over users and seeds;")


def test_a_seed_whose_baseline_is_nothing_has_no_ratio_of_its_own():
    blocks = block(NDCG, a=[0.2, 0.4], b=[0, 0]), block(NDCG, 2, a=[0.2, 0.4], b=[0.1, 0.2])
    assert of(NDCG, *blocks).quotient("a", "b").per_seed == pytest.approx((2,))


def test_units_in_clusters_are_as_many_as_the_clusters():
    clusters = ["x", "y", "x"]
    one = block(NDCG, units=USERS, clusters=clusters, a=[0.2, 0.4, 0.6])
    effect = of(NDCG, one).level("a")
    assert (effect.interval.n, effect.units) == (2, 3)
    assert "users, users in clusters" in effect.how
    hits = block(HITS, units=USERS, clusters=clusters, a=[0, 100, 100])
    assert "Clopper" not in of(HITS, hits).level("a").how


@pytest.mark.parametrize(("metric", "top"), [(NDCG, 1.0), (HITS, 100.0)])
def test_of_hits_and_misses_the_share_has_the_exact_interval(metric, top):
    hits = [top, 0, top, top]
    effect = of(metric, block(metric, a=hits, b=[0] * 4)).level("a")
    theirs = stats.binomtest(3, 4).proportion_ci(0.95, method="exact")
    assert interval(effect) == pytest.approx((top * 3 / 4, top * theirs.low, top * theirs.high))
    assert effect.how == "Share of users; 95 % by Clopper–Pearson, at least."
    assert (effect.units, effect.per_seed, effect.seeded) == (4, (top * 0.75,), True)
    assert not of(metric, block(metric, a=hits), deterministic=True).level("a").seeded
    paired = of(metric, block(metric, a=hits, b=[0] * 4)).difference("a", "b")
    assert paired.how.startswith("Mean paired difference")
    for several in (of(metric, block(metric, a=hits), block(metric, 2, a=hits)),):
        assert several.level("a").how.startswith("Mean over users and seeds")
    assert "published" in of(metric, block(metric, a=hits)).level("a", fixed=True).how


def test_units_that_nobody_named_are_counted_by_what_a_round_returned():
    exact = of(NDCG, block(NDCG, order=2, a=[0.1, 0.3], b=[0.5, 0.5, 0.5, 0.5]))
    assert exact.level("a").units == 2
    assert exact.level("b").units == 2
    changing = replace(NDCG, name="changing", exact=False)
    rounds = of(changing, block(changing, order=2, a=[0.1, 0.3, 0.3, 0.5]))
    assert (rounds.level("a").units, rounds.level("a").per_seed) == (2, pytest.approx((0.3,)))
    assert interval(rounds.level("a")) == t_of([0.2, 0.4])
    assert of(changing, block(changing, order=0, a=[0.1, 0.3])).level("a").units == 2
