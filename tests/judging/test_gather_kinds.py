"""Claims that are no plain comparison: a value, an order, a bound, a property."""

import msgspec
import numpy as np
import pytest
from judging.judged_records import FAST, QUEUE, RANKED, queue_claim, simulated
from records_factory import SEEDS, claim, data, failure, judged, provenance, record, timed, verdict_on


def test_value_within_its_tolerance():
    def word(value, tolerance=0.02, over="units", records=RANKED):
        stated = claim("v", "value", case="ranking", value=value, tolerance=tolerance, baseline="", over=over)
        return verdict_on(stated, records)

    level = word(0.5).estimate
    assert word(level + 0.019).verdict.word == "reproduced"
    assert word(level + 0.021).verdict.word == "inconclusive"
    assert word(level + 0.05).verdict.word == "not reproduced"
    assert word(level, tolerance=None).verdict.word == "shown, not judged"
    assert word(level, records=RANKED[:2]).verdict.word == "inconclusive"


def test_of_the_published_test_set_itself_only_training_seeds_are_random():
    stated = claim("v", "value", case="ranking", value=0.5, tolerance=0.02, baseline="", over="units")
    units = verdict_on(stated, RANKED)
    seeds = verdict_on(msgspec.structs.replace(stated, over="seeds"), RANKED)
    assert seeds.estimate == pytest.approx(units.estimate)
    assert (seeds.n, units.n) == (5, 400)
    assert seeds.hi - seeds.lo < (units.hi - units.lo) / 5


def test_order_is_judged_by_its_weakest_pair():
    order = claim("o", "ordering", case="ranking", order=["ours", "tuned", "slow"], treatment="", baseline="")
    assert verdict_on(order, RANKED).verdict.word == "reproduced"
    judgement = verdict_on(order, [judged(s, gain=0) for s in SEEDS])
    assert judgement.verdict.word == "not reproduced"
    assert judgement.verdict.size == "weakest pair: ours over tuned"
    assert verdict_on(order, [judged(s, gain=-0.02) for s in SEEDS]).verdict.word == "contradicted"


def test_order_of_times_is_one_of_ratios():
    order = claim("o", "ordering", order=["ours", "tuned", "slow"], treatment="", baseline="")
    judgement = verdict_on(order, FAST)
    assert (judgement.verdict.word, judgement.unit) == ("reproduced", "×")
    assert judgement.estimate == pytest.approx(1.5, rel=0.02)
    level = [timed(seed, tuned=0.01) for seed in SEEDS]
    assert verdict_on(order, level).verdict.word == "inconclusive"
    turned = claim("o", "ordering", order=["slow", "tuned", "ours"], treatment="", baseline="")
    assert verdict_on(turned, FAST).verdict.word == "contradicted"


def alike(gain):
    """Three arms that are the same but for noise, and `ours` better by so much."""
    base = np.random.default_rng(0).uniform(0.2, 0.8, 400)
    records = []
    for seed in SEEDS:
        rng = np.random.default_rng([seed, 5])
        levels = {"slow": 0.0, "tuned": 0.0, "ours": gain}
        arms = {arm: list(base + level + 0.02 * rng.standard_normal(400)) for arm, level in levels.items()}
        records.append(record({"NDCG@10": arms}, seed, "ranking"))
    return records


def test_an_order_is_contradicted_only_where_a_pair_still_is_when_all_are_asked_together():
    """A loss that its own interval excludes, and Holm's correction over three pairs does not."""
    order = claim("o", "ordering", case="ranking", order=["ours", "tuned", "slow"], treatment="", baseline="")

    def pairs(records):
        names = (("ours", "tuned"), ("ours", "slow"), ("tuned", "slow"))
        return [
            verdict_on(claim("d", "difference", case="ranking", treatment=a, baseline=b, value=None), records)
            for a, b in names
        ]

    open_ = next(
        records
        for records in map(alike, np.linspace(0.0, -0.004, 81))
        if min(one.p for one in pairs(records)) > 0.05 / 3 and any(one.hi < 0 for one in pairs(records))
    )
    assert "contradicted" in [one.verdict.word for one in pairs(open_)]
    assert verdict_on(order, open_).verdict.word in ("inconclusive", "not reproduced")
    assert verdict_on(order, alike(-0.02)).verdict.word == "contradicted"


def test_no_loss_claim_against_a_baseline():
    bound = claim("b", "bound", case="ranking", baseline="tuned", margin=0.02)
    assert verdict_on(bound, [judged(s, gain=-0.01) for s in SEEDS]).verdict.word == "reproduced"
    assert verdict_on(bound, [judged(s, gain=-0.02) for s in SEEDS]).verdict.word == "inconclusive"
    judgement = verdict_on(bound, [judged(s, gain=-0.05) for s in SEEDS])
    assert (judgement.verdict.word, judgement.claimed) == ("contradicted", -0.02)


def test_no_loss_of_time_is_relative():
    bound = claim("b", "bound", baseline="tuned", margin=0.1)
    assert verdict_on(bound, [timed(s, ours=0.016) for s in SEEDS]).verdict.word == "reproduced"
    assert verdict_on(bound, [timed(s, ours=0.018) for s in SEEDS]).verdict.word == "contradicted"


@pytest.mark.parametrize(
    ("tuned", "word"), [(0.011, "reproduced"), (0.0101, "inconclusive"), (0.009, "contradicted")]
)
def test_no_loss_of_time_at_all_follows_the_rule_of_signs(tuned, word):
    bound = claim("b", "bound", baseline="tuned", margin=0.0)
    assert verdict_on(bound, [timed(s, tuned=tuned) for s in SEEDS]).verdict.word == word


@pytest.mark.parametrize("margin", [0.01, -0.01])
def test_a_margin_smaller_than_the_noise_is_below_resolution(margin):
    bound = claim("b", "bound", baseline="tuned", margin=margin)
    assert verdict_on(bound, FAST).verdict.word == "below resolution"


def test_bound_on_an_arms_own_number():
    bound = queue_claim("bound", baseline="", margin=3.0)
    assert verdict_on(bound, simulated({"ours": 2.85}), QUEUE).verdict.word == "reproduced"
    assert verdict_on(bound, simulated({"ours": 2.95}), QUEUE).verdict.word == "inconclusive"
    assert verdict_on(bound, simulated({"ours": 3.1}), QUEUE).verdict.word == "contradicted"


TEST = "tests/made/test_it.py::test_swap_is_refused"


@pytest.mark.parametrize(
    "extras,word",
    [
        ({}, "not run"),
        ({"properties": {TEST: True}}, "reproduced"),
        ({"ours": {"properties": {TEST: "passed"}}}, "reproduced"),
        ({"ours": {"properties": {TEST: True}}, "slow": {"properties": {TEST: False}}}, "contradicted"),
        ({"ours": {"properties": {TEST: "failed"}}}, "contradicted"),
    ],
)
def test_property_is_as_its_test_recorded(extras, word):
    proved = claim("p", "property", case="", treatment="", baseline="", test=TEST)
    assert verdict_on(proved, [timed(1, extras=extras)]).verdict.word == word


@pytest.mark.parametrize(
    ("records", "said"),
    [
        ([timed(1, extras={"properties": {TEST: True}}, contract="no")], "contract"),
        ([timed(1, extras={"properties": {TEST: True}}, data=data(verified=False))], "data hash"),
        ([timed(1, extras={"properties": {TEST: True}}), failure(2)], "no failure"),
        (
            [
                timed(1, extras={"properties": {TEST: True}}),
                timed(2, extras={"properties": {TEST: True}}, from_=provenance(environment="9" * 64)),
            ],
            "same environment",
        ),
    ],
)
def test_a_property_passes_the_guards_that_need_no_samples(records, said):
    proved = claim("p", "property", case="", treatment="", baseline="", test=TEST)
    judgement = verdict_on(proved, records)
    assert judgement.verdict.word == "invalid run"
    assert said in judgement.verdict.reason
