"""Claims that compare two arms: how ratios and differences are estimated, and which word their size earns."""

import msgspec
import numpy as np
import pytest
from judging.judged_records import COUNTED, FAST, QUEUE, RANKED, queue_claim, simulated
from records_factory import (
    CPU,
    LATENCY,
    METRICS,
    NDCG,
    SEEDS,
    STEPS,
    better,
    case,
    claim,
    judged,
    record,
    timed,
    verdict_on,
)

from remeasure.contracts import Metric


def test_time_ratio_is_over_processes_each_with_the_median_of_its_rounds():
    judgement = verdict_on(claim(), FAST)
    assert judgement.verdict.word == "reproduced"
    assert (judgement.n, judgement.rounds, judgement.seeds) == (5, 12, list(SEEDS))
    assert judgement.estimate == pytest.approx(3.0, rel=0.02)
    assert judgement.lo < 3.0 < judgement.hi
    assert judgement.per_seed == [pytest.approx(3.0, rel=0.02)] * 5
    assert judgement.estimate == pytest.approx(np.exp(np.mean(np.log(judgement.per_seed))))
    assert judgement.p < 1e-6 and judgement.design_effect > 0


def test_processes_that_differ_widen_the_interval_of_a_ratio():
    apart = [
        timed(seed, ours=0.01 * factor) for seed, factor in zip(SEEDS, (0.8, 1, 1.2, 0.9, 1.1), strict=True)
    ]
    judgement = verdict_on(claim(value=1.5), apart)
    assert judgement.lo < 2.6 and judgement.hi > 3.5
    assert judgement.design_effect > 5


def test_a_round_counts_once_however_many_values_it_returns():
    many = []
    for seed in SEEDS:
        one = timed(seed, order=[["slow", "ours"]] * 12)
        tripled = {arm: np.repeat(values, 3).tolist() for arm, values in one.samples[CPU.name].items()}
        many.append(msgspec.structs.replace(one, samples={CPU.name: tripled}))
    once, thrice = verdict_on(claim(), FAST), verdict_on(claim(), many)
    assert (thrice.rounds, thrice.lo, thrice.hi) == (12, pytest.approx(once.lo), pytest.approx(once.hi))


@pytest.mark.parametrize(
    "claimed,word",
    [
        (3.0, "reproduced"),
        (10.0, "direction only"),
        (1.5, "reproduced, stronger"),
        (1.03, "below resolution"),
    ],
)
def test_size_decides_between_the_words_of_a_clear_ratio(claimed, word):
    assert verdict_on(claim(value=claimed), FAST).verdict.word == word


def test_ratio_that_goes_the_other_way_is_contradicted():
    turned = claim(treatment="slow", baseline="ours")
    judgement = verdict_on(turned, FAST)
    assert (judgement.verdict.word, judgement.estimate) == ("contradicted", pytest.approx(1 / 3, rel=0.02))


def test_ratio_of_simulated_times_is_paired_by_seed():
    judgement = verdict_on(queue_claim(value=2.0), simulated({"slow": 4.0, "ours": 2.0}), QUEUE)
    assert (judgement.verdict.word, judgement.estimate, judgement.n) == ("reproduced", pytest.approx(2.0), 5)


def test_ratio_of_quality_is_one_of_means_so_zeros_are_welcome():
    values = {"slow": [0, 0.5, 1] * 50, "ours": [0, 0.75, 1.5] * 49 + [0.1, 0.75, 1.4]}
    records = [record({NDCG.name: values}, seed, "ranking") for seed in SEEDS]
    judgement = verdict_on(claim("r", "ratio", case="ranking", value=1.5), records)
    assert (judgement.verdict.word, judgement.estimate) == ("reproduced", pytest.approx(1.5))
    assert judgement.lo < 1.5 < judgement.hi


def test_ratio_of_a_single_simulated_seed_has_no_interval_and_no_verdict():
    one = simulated({"slow": 4.0, "ours": 2.0}, seeds=(1,))
    judgement = verdict_on(queue_claim(value=2.0), one, QUEUE)
    assert (judgement.verdict.word, judgement.estimate, judgement.lo) == (
        "inconclusive",
        pytest.approx(2.0, rel=0.03),
        None,
    )
    always = (case("queue", (LATENCY,), tags=("deterministic",)),)
    assert verdict_on(queue_claim(value=2.0), one, always).verdict.word == "reproduced"


def test_an_exact_count_needs_one_seed_only_where_another_would_give_the_same():
    one = [record({STEPS.name: {"slow": [40], "ours": [20]}}, 1, "queue")]
    always = (case("queue", (STEPS,), tags=("deterministic",)),)
    judgement = verdict_on(queue_claim(value=2.0), one, always)
    assert (judgement.verdict.word, judgement.estimate, judgement.lo) == ("reproduced", 2.0, None)
    assert verdict_on(queue_claim(value=2.0), one, COUNTED).verdict.word == "inconclusive"


def test_equal_samples_of_something_random_say_nothing_of_their_spread():
    same = [record({STEPS.name: {"slow": [40], "ours": [20]}}, seed, "queue") for seed in SEEDS]
    judgement = verdict_on(queue_claim(value=2.0), same, COUNTED)
    assert (judgement.verdict.word, judgement.lo) == ("inconclusive", None)
    assert "equal" in judgement.verdict.reason


def test_units_that_are_all_equal_prove_nothing_of_others_though_a_seed_would_change_nothing():
    always = (case("ranking", (NDCG,), tags=("deterministic",)),)
    perfect = record({NDCG.name: {"ours": [1.0] * 6, "slow": [1.0] * 6}}, 1, "ranking")
    bound = claim("b", "bound", case="ranking", baseline="", margin=1.0)
    share = verdict_on(bound, [perfect], always)
    assert (share.verdict.word, share.hi) == ("inconclusive", 1.0)
    assert 0.5 < share.lo < 0.6
    names = [f"u{n}" for n in range(6)]
    together = units_of(perfect, names, clusters={"user": ["a", "a", "b", "b", "c", "c"]})
    clustered = verdict_on(bound, [together], always)
    assert (clustered.verdict.word, clustered.lo) == ("inconclusive", None)
    assert "equal" in clustered.verdict.reason


def test_of_the_published_test_set_a_deterministic_case_gives_the_number_itself():
    always = (case("ranking", (NDCG,), tags=("deterministic",)),)
    stated = claim("v", "value", case="ranking", value=0.5, tolerance=0.5, baseline="", over="seeds")
    judgement = verdict_on(stated, RANKED[:1], always)
    assert (judgement.verdict.word, judgement.lo, judgement.spread) == ("reproduced", None, "none")
    assert verdict_on(stated, RANKED[:1]).verdict.word == "inconclusive"


def test_a_single_sample_of_something_inexact_is_shown_and_not_judged():
    peak = Metric("peak memory", "MB", better="lower", kind="count", exact=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METRICS, peak.name, peak)
        one = [record({peak.name: {"ours": [900.0]}}, 1, "queue")]
    bound = queue_claim("bound", baseline="", margin=1000.0)
    judgement = verdict_on(bound, one, (case("queue", (peak,)),))
    assert (judgement.verdict.word, judgement.estimate, judgement.lo) == ("shown, not judged", 900.0, None)


@pytest.mark.parametrize(("seeds", "word"), [(1, "inconclusive"), (2, "direction only"), (3, "reproduced")])
def test_two_seeds_of_a_simulation_reach_a_direction_and_one_nothing(seeds, word):
    ratios = simulated({"slow": 4.0, "ours": 0.2}, seeds=SEEDS[:seeds])
    assert verdict_on(queue_claim(value=20.0), ratios, QUEUE).verdict.word == word


def test_two_seeds_contradict_nothing():
    worse = simulated({"slow": 0.2, "ours": 4.0}, seeds=SEEDS[:2])
    assert verdict_on(queue_claim(value=2.0), worse, QUEUE).verdict.word == "inconclusive"
    worse = simulated({"slow": 0.2, "ours": 4.0})
    assert verdict_on(queue_claim(value=2.0), worse, QUEUE).verdict.word == "contradicted"


def test_quality_is_over_users_and_seeds_crossed():
    judgement = verdict_on(better(), RANKED)
    assert (judgement.n, judgement.units, len(judgement.seeds)) == (400, 400, 5)
    every = [np.subtract(r.samples[NDCG.name]["ours"], r.samples[NDCG.name]["tuned"]) for r in RANKED]
    assert judgement.estimate == pytest.approx(np.mean(every))
    assert judgement.per_seed == [pytest.approx(one.mean()) for one in every]
    assert judgement.verdict.word == "reproduced"
    assert "over users and seeds" in judgement.how
    assert judgement.headroom["ours reaches"] - judgement.headroom["tuned reaches"] == pytest.approx(
        judgement.estimate
    )


def test_lower_is_better_turns_the_sign():
    judgement = verdict_on(
        queue_claim("difference", value=None), simulated({"slow": 4.0, "ours": 3.0}), QUEUE
    )
    assert judgement.estimate == pytest.approx(1.02)
    assert judgement.verdict.word == "reproduced"


def test_the_interval_of_a_difference_holds_what_training_seeds_differ_by():
    judgement = verdict_on(better(), [judged(seed, gain=0.01, seed_noise=0.02) for seed in SEEDS])
    assert judgement.lo < 0 < judgement.hi
    assert judgement.verdict.word == "inconclusive"
    calm = verdict_on(better(), [judged(seed, gain=0.01) for seed in SEEDS])
    assert calm.hi - calm.lo < (judgement.hi - judgement.lo) / 5


def test_a_null_says_what_it_could_have_found():
    judgement = verdict_on(better(), [judged(s, gain=0) for s in SEEDS])
    assert judgement.verdict.word == "not reproduced"
    assert 0 < judgement.detectable < 0.005


def test_three_seeds_of_a_simulation_do_not_have_their_range_as_interval():
    records = [
        record({LATENCY.name: {"slow": [1.0 + gain], "ours": [1.0]}}, seed, "queue")
        for seed, gain in zip(SEEDS[:3], (0.5, 1.0, 4.0), strict=True)
    ]
    judgement = verdict_on(queue_claim("difference", value=None), records, QUEUE)
    assert judgement.lo < 0 and judgement.hi > 4
    assert judgement.verdict.word == "inconclusive"


def units_of(record, names, **changes):
    return msgspec.structs.replace(record, units={"user": names}, **changes)


def test_users_are_joined_by_name_whatever_order_a_seed_returns_them_in():
    names = [f"u{n}" for n in range(400)]
    turned = msgspec.to_builtins(RANKED[1].samples)
    turned = {metric: {arm: values[::-1] for arm, values in arms.items()} for metric, arms in turned.items()}
    named = [units_of(one, names) for one in RANKED]
    mixed = [named[0], units_of(RANKED[1], names[::-1], samples=turned), *named[2:]]
    plain, joined = verdict_on(better(), named), verdict_on(better(), mixed)
    assert (joined.lo, joined.hi) == (pytest.approx(plain.lo), pytest.approx(plain.hi))


def test_seeds_that_judge_other_users_are_refused():
    names = [f"u{n}" for n in range(400)]
    other = [units_of(one, names) for one in RANKED[:-1]] + [units_of(RANKED[-1], ["new", *names[1:]])]
    judgement = verdict_on(better(), other)
    assert (judgement.verdict.word, judgement.estimate) == ("inconclusive", None)
    assert "different users" in judgement.verdict.reason


def test_clusters_of_users_widen_the_interval():
    names = [f"u{n}" for n in range(400)]
    shared = {"user": [f"c{n // 40}" for n in range(400)]}
    alike = [judged(seed) for seed in SEEDS]
    shift = np.repeat(np.random.default_rng(3).normal(0, 0.05, 10), 40)

    def moved(one):
        samples = msgspec.to_builtins(one.samples)
        samples[NDCG.name]["ours"] = np.add(samples[NDCG.name]["ours"], shift).tolist()
        return units_of(one, names, samples=samples)

    apart = verdict_on(better(), [moved(one) for one in alike])
    together = verdict_on(better(), [msgspec.structs.replace(moved(one), clusters=shared) for one in alike])
    assert together.n == 10 and together.units == 400
    assert together.estimate == pytest.approx(apart.estimate)
    assert together.hi - together.lo > 3 * (apart.hi - apart.lo)


def test_one_seed_is_direction_only_unless_the_case_is_declared_deterministic():
    judgement = verdict_on(better(), [judged(1)])
    assert judgement.verdict.word == "direction only"
    assert "One seed" in judgement.verdict.reason
    cases = (case("ranking", (NDCG,), tags=("deterministic",)),)
    assert verdict_on(better(), [judged(1)], cases).verdict.word == "reproduced"


def test_seeds_that_all_give_the_same_have_no_spread():
    same = [msgspec.structs.replace(judged(1), key=f"k{seed}", seed=seed) for seed in SEEDS]
    assert verdict_on(better(), same).verdict.word == "reproduced"


def test_no_difference_is_not_reproduced_and_a_loss_contradicted():
    assert verdict_on(better(), [judged(s, gain=0) for s in SEEDS]).verdict.word == "not reproduced"
    assert verdict_on(better(), [judged(s, gain=-0.02) for s in SEEDS]).verdict.word == "contradicted"


def test_claimed_difference_is_judged_by_size_too():
    assert verdict_on(better(value=0.02), RANKED).verdict.word == "reproduced"
    assert verdict_on(better(value=0.08), RANKED).verdict.word == "direction only"
    assert verdict_on(better(value=0.005), RANKED).verdict.word == "reproduced, stronger"


def test_users_that_nobody_names_and_that_differ_in_number_between_seeds_are_refused():
    judgement = verdict_on(better(), [*RANKED[:-1], judged(5, users=300)])
    assert (judgement.verdict.word, judgement.estimate) == ("inconclusive", None)
    assert "different numbers of users" in judgement.verdict.reason
