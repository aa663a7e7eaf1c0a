"""From samples to a word, kind by kind: limits, directions, and how much has to be measured for a word."""

import math
from dataclasses import replace

import numpy as np
import pytest
from judging.judged_records import FAST, block, of
from records_factory import CPU, LATENCY, NDCG, SEEDS, STEPS, better, claim, timed

from remeasure.judging import kinds, rules
from remeasure.judging.kinds import assess, compared, effects
from remeasure.judging.samples import Samples
from remeasure.records.record import TWIN_SUFFIX

GAIN = replace(LATENCY, name="gain", unit="×", better="higher")
COST = replace(NDCG, name="cost", better="lower")


def simulated(ours, slow=1.0, metric=LATENCY, seeds=SEEDS, **more):
    """Arms that differ a little from seed to seed, by the same factor."""
    arms = {"ours": ours, "slow": slow, **more}
    return of(
        metric,
        *(
            block(
                metric,
                seed,
                **{a: [v * (1 + ((seed + 2 * i) % 5) / 1000)] for i, (a, v) in enumerate(arms.items())},
            )
            for seed in seeds
        ),
    )


FASTER = claim(metric=LATENCY.name, case="queue")


def word(declared, samples):
    return assess(declared, samples).verdict.word


# --- what a claim compares


def test_a_claim_compares_the_arms_that_it_names():
    order = claim("o", "ordering", order=["a", "b", "c"], treatment="", baseline="")
    assert compared(order) == ("a", "b", "c")
    assert compared(claim()) == ("ours", "slow")
    assert compared(claim(kind="value", baseline="")) == ("ours",)


def test_an_order_has_an_effect_a_pair_and_anything_else_one():
    samples = simulated(1.0, 2.0, tuned=1.5)
    order = claim("o", "ordering", order=["ours", "tuned", "slow"], treatment="", baseline="")
    found = [effect.interval.estimate for effect in effects(order, samples)]
    assert found == pytest.approx([1.5, 2.0, 2.0 / 1.5], rel=0.01)
    (level,) = effects(claim(kind="value", baseline=""), samples)
    assert level.interval.estimate == pytest.approx(1.0, rel=0.01)
    for kind, number in (("ratio", 2.0), ("bound", 2.0), ("difference", 1.0), ("value", 1.0)):
        (effect,) = effects(claim(kind=kind), samples)
        assert effect.interval.estimate == pytest.approx(number, rel=0.01), kind
    (counted,) = effects(claim(kind="bound"), simulated(1.0, 3.0, STEPS))
    assert counted.interval.estimate == pytest.approx(2.0, rel=0.01)


def test_a_value_over_seeds_takes_its_units_as_they_are():
    blocks = [block(NDCG, seed, ours=[0.1 + seed / 100, 0.5, 0.9]) for seed in SEEDS]
    over_seeds = claim(kind="value", baseline="", over="seeds")
    over_units = claim(kind="value", baseline="", over="units")
    (fixed,), (random,) = (effects(one, of(NDCG, *blocks)) for one in (over_seeds, over_units))
    assert fixed.interval.hi - fixed.interval.lo < 0.1 * (random.interval.hi - random.interval.lo)


# --- ratios


def test_a_ratio_is_judged_by_its_own_number_and_tolerance():
    samples = simulated(1.0, 2.0)
    found = assess(replace_claim(FASTER, value=2.0), samples)
    assert (found.verdict.word, found.claimed, found.is_ratio, found.null) == ("reproduced", 2.0, True, 1.0)
    assert found.p < 1e-6
    assert word(replace_claim(FASTER, value=2.4), samples) == "reproduced"
    assert word(replace_claim(FASTER, value=2.4, tolerance=1.1), samples) == "direction only"
    assert word(replace_claim(FASTER, value=1.7, tolerance=1.1), samples) == "reproduced, stronger"
    nothing = assess(replace_claim(FASTER, value=None), samples)
    assert (nothing.claimed, nothing.verdict.word) == (1.0, "below resolution")


def replace_claim(declared, **changes):
    return type(declared)(**{**{f: getattr(declared, f) for f in declared.__struct_fields__}, **changes})


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_ratio_is_told_from_the_noise_of_its_own_control(side):
    def with_twin(off):
        blocks = []
        for seed in SEEDS:
            wobble = math.exp(0.001 * (seed - 3))
            columns = {
                "ours": [1.0 * wobble] * 6,
                "slow": [1.1] * 6,
                "slow" + TWIN_SUFFIX: [1.1 * off * wobble] * 6,
            }
            blocks.append(block(CPU, seed, order=6, twin_of="slow", **columns))
        return of(CPU, *blocks)

    declared = claim(value=1.1)
    assert word(declared, with_twin(1.0)) == "reproduced"
    assert word(declared, with_twin(1.0 + side * 0.09)) == "below resolution"
    noisy = kinds.resolution(with_twin(1.0 + side * 0.09))
    assert 0.08 < noisy < 0.12
    assert kinds.resolution(simulated(1.0)) == rules.SMALLEST_RESOLUTION


# --- differences, values


def test_a_difference_is_judged_by_what_matters_and_by_its_claimed_size():
    samples = simulated(0.30, 0.32, COST_OF_A_SEED)
    found = assess(better(value=None, baseline="slow"), samples)
    assert (found.verdict.word, found.null, found.claimed, found.is_ratio) == ("reproduced", 0.0, None, False)
    assert found.p < 1e-4
    assert word(better(value=0.06, baseline="slow"), samples) == "direction only"
    assert word(better(value=0.02, baseline="slow"), samples) == "reproduced"
    close = simulated(0.300, 0.3001, COST_OF_A_SEED)
    assert word(better(baseline="slow", smallest=0.01), close) == "not reproduced"
    assert word(better(baseline="slow", smallest=0.0001), close) == "inconclusive"


COST_OF_A_SEED = replace(COST, per="seed")


def test_a_value_without_a_number_or_a_tolerance_is_shown():
    samples = simulated(2.0)
    stated = claim(kind="value", value=2.0, tolerance=0.1, baseline="")
    found = assess(stated, samples)
    assert (found.verdict.word, found.claimed, found.null, found.p) == ("reproduced", 2.0, None, None)
    for lacking in ({"value": None}, {"tolerance": None}):
        shown = assess(replace_claim(stated, **lacking), samples)
        assert shown.verdict.word == "shown, not judged"
        assert shown.verdict.reason == "The claim states no absolute tolerance, so a value can only be shown."
        assert shown.claimed == (None if "value" in lacking else 2.0)
    assert word(replace_claim(stated, value=3.0), samples) == "not reproduced"


# --- bounds


def bound(margin, **changes):
    return claim(kind="bound", margin=margin, **changes)


def test_a_bound_on_an_arms_own_number_is_on_the_side_that_is_better():
    alone = {"baseline": ""}
    found = assess(bound(2.5, **alone), simulated(2.0))  # a latency: at most
    assert (found.verdict.word, found.claimed, found.null, found.is_ratio) == ("reproduced", 2.5, 2.5, False)
    assert word(bound(1.5, **alone), simulated(2.0)) == "contradicted"
    assert word(bound(1.5, **alone), simulated(2.0, metric=GAIN)) == "reproduced"  # a gain: at least
    assert word(bound(2.5, **alone), simulated(2.0, metric=GAIN)) == "contradicted"
    assert assess(bound(None, **alone), simulated(2.0)).claimed == 0.0


def test_a_bound_against_a_baseline_is_in_the_metrics_unit_or_relative_for_times():
    counted = simulated(102.0, 100.0, STEPS)
    found = assess(bound(4.0), counted)
    assert (found.verdict.word, found.claimed, found.null, found.is_ratio) == (
        "reproduced",
        -4.0,
        -4.0,
        False,
    )
    assert word(bound(1.0), counted) == "contradicted"
    timed_ = simulated(1.2, 1.0)
    found = assess(bound(0.5), timed_)
    limit = pytest.approx(1 / 1.5)
    assert (found.verdict.word, found.claimed, found.null, found.is_ratio) == (
        "reproduced",
        limit,
        limit,
        True,
    )
    assert word(bound(0.1), timed_) == "contradicted"


def test_a_margin_of_nothing_asks_for_the_sign_and_one_within_the_noise_for_nothing():
    assert word(bound(0.0), simulated(1.2, 1.0)) == "contradicted"
    assert word(bound(0.0), simulated(1.0, 1.2)) == "reproduced"
    assert word(bound(0.0), simulated(1.0, 1.01)) == "inconclusive"
    for margin in (0.019, -0.019):
        found = assess(bound(margin), simulated(1.0, 1.2))
        assert found.verdict.word == "below resolution"
        assert (
            found.verdict.reason == f"A margin of {margin:g} is less than the 0.02 that are told from noise."
        )
    assert word(bound(0.02), simulated(1.0, 1.2)) == "reproduced"
    assert word(bound(-0.1), simulated(1.0, 1.2)) == "reproduced"
    assert word(bound(-0.3), simulated(1.0, 1.2)) == "contradicted"


# --- orders

ORDER = claim("o", "ordering", order=["ours", "tuned", "slow"], treatment="", baseline="", smallest=0.001)


def test_an_order_shows_its_weakest_pair():
    found = assess(ORDER, simulated(1.0, 2.0, tuned=1.5))
    assert (found.verdict.word, found.verdict.size) == ("reproduced", "weakest pair: tuned over slow")
    assert found.effect.interval.estimate == pytest.approx(2 / 1.5, rel=0.01)
    assert (found.claimed, found.is_ratio, found.null) == (None, True, 1.0)
    alike = assess(ORDER, simulated(1.0, 2.0, tuned=1.005))
    assert (alike.verdict.word, alike.verdict.size) == ("inconclusive", "weakest pair: ours over tuned")
    against = assess(ORDER, simulated(1.0, 1.2, tuned=1.5))
    assert (against.verdict.word, against.verdict.size) == ("contradicted", "weakest pair: tuned over slow")
    assert against.verdict.direction == rules.AGAINST


def test_an_order_of_what_is_no_time_is_one_of_differences():
    counted = assess(ORDER, simulated(100.0, 200.0, STEPS, tuned=150.0))
    assert (counted.verdict.word, counted.is_ratio, counted.null) == ("reproduced", False, 0.0)
    assert counted.effect.interval.estimate == pytest.approx(50, rel=0.03)
    against = assess(ORDER, simulated(100.0, 120.0, STEPS, tuned=150.0))
    assert against.verdict.word == "contradicted"
    wide = replace_claim(ORDER, smallest=5.0)
    assert word(wide, simulated(100.0, 200.0, STEPS, tuned=100.1)) == "not reproduced"


def test_p_of_an_order_is_the_largest_of_its_pairs_and_none_where_a_pair_has_none():
    samples = simulated(1.0, 2.0, tuned=1.5)
    ps = [effect.interval.p(1.0) for effect in effects(ORDER, samples)]
    assert assess(ORDER, samples).p == max(ps)
    same = of(LATENCY, *(block(LATENCY, s, ours=[1 + s / 100], tuned=[1.5], slow=[3.0]) for s in SEEDS))
    found = assess(ORDER, same)
    assert (found.p, found.verdict.word) == (None, "inconclusive")
    assert found.verdict.size == "weakest pair: tuned over slow"
    assert found.verdict.reason.startswith("All samples are equal")


# --- how much has to be measured


def rounds(processes, each):
    return Samples(
        tuple(timed(seed, rounds=each, order=[["x"]] * each) for seed in range(1, processes + 1)), CPU.name
    )


@pytest.mark.parametrize(
    ("processes", "each", "enough", "have"),
    [
        (5, 5, True, ""),
        (4, 9, False, "4 processes of 9 rounds"),
        (9, 4, False, "9 processes of 4 rounds"),
        (1, 9, False, "1 process of 9 rounds"),
        (9, 1, False, "9 processes of 1 round"),
    ],
)
def test_a_word_of_a_time_needs_five_processes_of_five_rounds(processes, each, enough, have):
    verdict = assess(claim(), rounds(processes, each)).verdict
    assert (verdict.word == "reproduced") is enough
    if not enough:
        assert verdict.word == "inconclusive"
        assert verdict.reason == f"{have}; 5 processes of 5 rounds are needed."
        assert verdict.direction and verdict.size


@pytest.mark.parametrize(("seeds", "found"), [(3, "reproduced"), (2, "direction only"), (1, "inconclusive")])
def test_a_word_of_something_random_needs_three_seeds(seeds, found):
    verdict = assess(replace_claim(FASTER, value=2.0), simulated(1.0, 2.0, seeds=SEEDS[:seeds])).verdict
    assert verdict.word == found
    if seeds == 1:
        assert verdict.reason == "One sample has no interval; measure more seeds."
        assert verdict.direction == rules.UNCLEAR


def test_equal_samples_and_inexact_ones_have_no_word():
    equal = of(LATENCY, *(block(LATENCY, seed, ours=[1.0], slow=[2.0]) for seed in SEEDS))
    verdict = assess(replace_claim(FASTER, value=2.0), equal).verdict
    assert (verdict.word, verdict.direction) == ("inconclusive", rules.UNCLEAR)
    assert verdict.reason.startswith("All samples are equal, which says nothing of their spread;")
    pair = of(LATENCY, *(block(LATENCY, seed, ours=[1.0], slow=[2.0]) for seed in (1, 2)))
    assert assess(replace_claim(FASTER, value=2.0), pair).verdict.reason.startswith("All samples are equal")
    inexact = replace(LATENCY, name="inexact", exact=False)
    verdict = assess(replace_claim(FASTER, value=2.0), simulated(1.0, 2.0, inexact, SEEDS[:1])).verdict
    assert (verdict.word, verdict.reason) == (
        "shown, not judged",
        "A single sample of something that changes from run to run; measure more seeds.",
    )
    two = assess(replace_claim(FASTER, value=2.0), simulated(1.0, 2.0, inexact, SEEDS[:2])).verdict
    assert two.word == "direction only"


def test_what_is_no_number_is_refused():
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="a sample is not finite"):
        assess(better(baseline="slow"), simulated(math.inf, 1.0, STEPS))


def test_words_of_a_whole_run_stand_as_they_are():
    samples = Samples(tuple(FAST), CPU.name)
    assert assess(claim(), samples).verdict == rules.ratio_verdict(
        *(getattr(assess(claim(), samples).effect.interval, end) for end in ("lo", "hi")),
        3.0,
        kinds.resolution(samples),
    )


def beside_a_control(*off, **levels):
    """Times of processes whose twins are off by these factors."""
    blocks = []
    for seed, factor in enumerate(off, 1):
        wobble = 1 + (seed % 3) / 1000
        columns = {arm: [level * (wobble if arm == "ours" else 1.0)] * 6 for arm, level in levels.items()}
        columns["slow" + TWIN_SUFFIX] = [levels["slow"] * factor] * 6
        blocks.append(block(CPU, seed, order=6, twin_of="slow", **columns))
    return of(CPU, *blocks)


@pytest.mark.parametrize("off", [(1.0, 1.0, 1.1, 1.1, 1.05), (1.0, 1.0, 0.9, 0.9, 0.95)])
def test_the_noise_is_the_end_of_the_control_that_is_further_from_one(off):
    samples = beside_a_control(*off, slow=1.0, ours=0.5)
    noise = samples.noise()
    near, far = sorted((abs(noise.lo - 1), abs(noise.hi - 1)))
    assert near < 0.02 < far
    assert kinds.resolution(samples) == pytest.approx(far)


def test_bounds_and_orders_are_told_from_the_noise_too():
    quiet, loud = (1.0, 1.001, 1.0, 1.001, 1.0), (1.06, 1.061, 1.06, 1.061, 1.06)
    order = claim("o", "ordering", order=["ours", "slow"], treatment="", baseline="")
    for declared in (bound(0.0), order):
        assert word(declared, beside_a_control(*quiet, slow=1.05, ours=1.0)) == "reproduced"
        assert word(declared, beside_a_control(*loud, slow=1.05, ours=1.0)) == "inconclusive"
    assert word(bound(0.04), beside_a_control(*quiet, slow=1.05, ours=1.0)) == "reproduced"
    assert word(bound(0.04), beside_a_control(*loud, slow=1.05, ours=1.0)) == "below resolution"
