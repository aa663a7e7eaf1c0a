"""One claim, from what is known before anything is measured to its word and the way back."""

from types import SimpleNamespace

import msgspec
import pytest
from judging.judged_records import FAST, QUEUE, RANKED, SIMULATED, at, queue_claim, simulated
from records_factory import (
    CPU,
    NDCG,
    SEEDS,
    STEPS,
    SYSTEM,
    better,
    case,
    claim,
    data,
    failure,
    judged,
    provenance,
    record,
    report,
    timed,
    verdict_on,
)

from remeasure.contracts import At
from remeasure.judging.judged import GuardResult
from remeasure.judging.one_claim import Context, _outcomes, judge_claim
from remeasure.judging.selection import Blocks, Chosen

# --- before anything is measured


def test_a_claim_that_nothing_is_measured_for_says_all_that_is_declared():
    said = verdict_on(claim(audit="seen", value=3.0), [])
    assert (said.system, said.id, said.by, said.source) == (
        SYSTEM,
        "faster",
        "paper",
        "A. Author, Made, 2020",
    )
    assert (said.statement, said.where, said.kind) == ("It is faster", "section 1", "ratio")
    assert (said.metric, said.unit, said.better, said.claimed) == (CPU.name, "s", "lower", 3.0)
    assert (said.evidence, said.case, said.audit) == ("measured", "speed", "seen")
    assert (said.treatment, said.baseline) == ("ours", "slow")
    assert (said.verdict.word, said.verdict.reason) == ("not run", "Nothing is measured for it yet.")
    assert (said.estimate, said.lo, said.guards) == (None, None, [])


def test_an_order_goes_from_its_first_to_its_last():
    order = claim("o", "ordering", order=["ours", "tuned", "slow"], treatment="", baseline="")
    said = verdict_on(order, [])
    assert (said.treatment, said.baseline) == ("ours", "slow")
    alone = verdict_on(claim(kind="value", baseline="", order=[]), [])
    assert (alone.treatment, alone.baseline) == ("ours", "")


@pytest.mark.parametrize(
    ("changes", "by", "source"),
    [
        ({}, "paper", "A. Author, Made, 2020"),
        ({"by": "other", "source": "a blog"}, "other", "a blog"),
        ({"by": "remeasure"}, "remeasure", "remeasure"),
        ({"unverified": True}, "other", "remembered, not read"),
        ({"unverified": True, "by": "remeasure"}, "remeasure", "remeasure"),
    ],
)
def test_whose_claim_it_is(changes, by, source):
    said = verdict_on(claim(**changes), FAST)
    assert (said.by, said.source) == (by, source)


def test_what_cannot_be_tested_has_no_evidence():
    said = verdict_on(claim(testability="not-testable", why="No such machine."), FAST)
    assert (said.evidence, said.verdict.word, said.verdict.reason) == (
        "",
        "not testable here",
        "No such machine.",
    )


@pytest.mark.parametrize(
    ("declared", "cases", "records", "said"),
    [
        (claim(case="gone"), (), FAST, "The case gone is no part of profile smoke."),
        (
            claim(),
            (case(profiles={"full": At(seeds=SEEDS)}),),
            FAST,
            "The case speed is no part of profile smoke.",
        ),
        (
            claim(),
            (case(profiles={"smoke": At(seeds=SEEDS, arms=("ours", "tuned"))}),),
            FAST,
            "The arm slow does not run in profile smoke.",
        ),
        (claim(), (), [], "Nothing is measured for it yet."),
        (
            claim(metric=STEPS.name),
            (case(metrics=(CPU, STEPS)),),
            FAST,
            "The records have no steps; run the case again.",
        ),
        (
            claim(),
            (),
            [record({CPU.name: {"ours": [1.0]}})],
            "The records have no arm slow; run the case again.",
        ),
    ],
)
def test_what_is_lacking_is_said(declared, cases, records, said):
    judgement = verdict_on(declared, records, cases)
    assert (judgement.verdict.word, judgement.verdict.reason) == ("not run", said)
    if cases and "arm" in said:
        whole = case(profiles={"smoke": At(seeds=SEEDS, arms=("ours", "slow"))})
        assert verdict_on(declared, records, (whole,)).verdict.word == "reproduced"


# --- the number and the way back


def test_a_number_has_everything_that_led_to_it():
    found = verdict_on(better(), RANKED)
    assert (found.unit, found.claimed, found.n, found.units, found.per) == ("", None, 400, 400, "user")
    assert (found.spread, found.rounds, found.seeds) == ("interval", 0, list(SEEDS))
    assert found.lo < found.estimate < found.hi
    assert len(found.per_seed) == len(SEEDS)
    assert found.design_effect > 0 and found.detectable > 0 and found.p < 0.05
    assert found.how.startswith("Mean paired difference over users and seeds;")
    assert (found.evidence, found.data, found.data_label) == ("measured", "real", "things (all)")
    assert (found.data_sha256, found.commit, found.environment) == ("d" * 64, "c" * 40, "e" * 64)
    assert (found.dirty, found.records) == (False, [one.key for one in RANKED])
    assert found.command.startswith("remeasure run --system made --case ranking --seed 1")
    fast = verdict_on(claim(), FAST)
    assert (fast.unit, fast.rounds, fast.units, fast.n) == ("s", 12, 0, 5)


def test_a_bound_on_a_ratio_of_times_is_in_times():
    found = verdict_on(claim(kind="bound", margin=0.5), FAST)
    assert (found.unit, found.claimed) == ("×", pytest.approx(1 / 1.5))
    own = verdict_on(claim(kind="bound", margin=0.5, baseline=""), FAST)
    assert own.unit == "s"


def test_one_sample_has_a_number_without_an_interval():
    found = report(
        simulated({"slow": 4.0, "ours": 2.0}, seeds=(1,)), [queue_claim(value=2.0)], cases=QUEUE
    ).claims[0]
    assert (found.lo, found.hi, found.spread) == (None, None, "none")
    assert found.estimate == pytest.approx(2.0, rel=0.05)


def test_where_it_was_measured_by_a_dirty_tree_or_several_that_is_said():
    found = verdict_on(better(), [*RANKED[:4], judged(5, from_=provenance(dirty="x", commit="a" * 40))])
    assert (found.dirty, found.commit) == (True, f"{'c' * 40}, {'a' * 40}")


def test_what_failed_with_every_seed_still_leads_back():
    found = verdict_on(claim(), [failure(seed) for seed in SEEDS])
    assert (found.verdict.word, found.seeds) == ("invalid run", list(SEEDS))
    assert found.verdict.reason == (
        "no failure: seeds 1, 2, 3, 4, 5 failed (timeout: It took longer than 60 s.)."
    )
    assert [guard.name for guard in found.guards] == ["no failure"]


def test_samples_that_cannot_be_compared_have_no_number():
    unpaired = [record({NDCG.name: {"ours": [0.1, 0.2], "tuned": [0.1]}}, seed, "ranking") for seed in SEEDS]
    found = verdict_on(better(), unpaired)
    assert found.estimate is None
    assert any(not guard.ok for guard in found.guards)
    alone = [judged(seed) for seed in SEEDS]
    other = [
        msgspec.structs.replace(one, units={"user": [f"{one.seed}-{i}" for i in range(400)]}) for one in alone
    ]
    found = verdict_on(better(), other)
    assert (found.verdict.word, found.estimate) == ("inconclusive", None)
    assert found.verdict.reason.startswith("No number: seeds judge different users")


# --- what is said beside the word


def test_every_guard_that_failed_is_named():
    found = verdict_on(claim(), [timed(seed, contract="x", ours=0.0001) for seed in SEEDS])
    assert found.verdict.reason.startswith("contract: seeds 1, 2, 3, 4, 5: x; long enough: ")
    assert found.verdict.reason.endswith(".")
    assert all(isinstance(guard, GuardResult) for guard in found.guards)


@pytest.mark.parametrize(
    ("declared", "records", "word", "reason"),
    [
        (
            better(),
            [judged(s, data=SIMULATED) for s in SEEDS],
            "shown, not judged",
            "It is about data, and these are simulated.",
        ),
        (
            better(about="algorithm"),
            [judged(s, data=SIMULATED) for s in SEEDS],
            "reproduced",
            "On simulated data.",
        ),
        (better(), [judged(s, evidence="modelled") for s in SEEDS], "reproduced", "Computed by a model."),
        (
            better(about="algorithm"),
            [judged(s, evidence="modelled", data=SIMULATED) for s in SEEDS],
            "reproduced",
            "Computed by a model. On simulated data.",
        ),
        (
            better(unverified=True),
            RANKED,
            "shown, not judged",
            "Remembered, not read, so it is not printed as the paper's.",
        ),
        (better(calibrated=True), RANKED, "calibrated", "An input of the model that computes it."),
        (better(calibrated=True), [], "not run", "Nothing is measured for it yet."),
        (better(), RANKED, "reproduced", ""),
    ],
)
def test_what_is_said_beside_the_word(declared, records, word, reason):
    found = verdict_on(declared, records)
    assert (found.verdict.word, found.verdict.reason) == (word, reason)


# --- what both arms reach


def test_head_room_is_what_both_arms_reach_and_what_the_system_says_of_the_rest():
    records = [
        msgspec.structs.replace(one, extras={"ours": {"headroom": {"the oracle reaches": 0.9}}})
        for one in RANKED
    ]
    found = verdict_on(better(), records).headroom
    levels = {arm.arm: arm.mean for row in report(RANKED).cases for arm in row.arms}
    assert found == {
        "tuned reaches": pytest.approx(levels["tuned"]),
        "ours reaches": pytest.approx(levels["ours"]),
        "the oracle reaches": 0.9,
    }
    for extras in ({"ours": 3}, {"ours": {"headroom": 3}}, {"tuned": {"headroom": {"x": 1}}}):
        records = [msgspec.structs.replace(one, extras=extras) for one in RANKED]
        assert set(verdict_on(better(), records).headroom) == {"tuned reaches", "ours reaches"}
    assert verdict_on(claim(), FAST).headroom == {}
    alone = claim("v", "value", case="ranking", value=0.5, tolerance=0.5, baseline="", over="units")
    assert verdict_on(alone, RANKED).headroom == {}


# --- properties

HELD = claim("p", "property", case="", test="test_it", treatment="", baseline="")


def with_outcome(seed=1, **changes):
    return judged(seed, **{"extras": {"properties": {"test_it": True}}, **changes})


def test_a_property_says_its_test_and_leads_back():
    found = verdict_on(HELD, [with_outcome(seed, from_=at(seed)) for seed in SEEDS])
    assert (found.verdict.word, found.n, found.spread) == ("reproduced", 5, "none")
    assert found.how == "The test test_it."
    assert (found.seeds, found.evidence) == (list(SEEDS), "measured")
    missing = verdict_on(HELD, RANKED)
    assert (missing.verdict.word, missing.verdict.reason) == (
        "not run",
        "Its test is test_it; no record holds its outcome.",
    )


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ([True, True], "reproduced"),
        (["passed", True], "reproduced"),
        ([True, False], "contradicted"),
        ([False, True], "contradicted"),
        (["failed", True], "contradicted"),
        ([1.5, True], "contradicted"),
    ],
)
def test_a_property_holds_where_its_test_passed_every_time(outcomes, word):
    records = [with_outcome(i, extras={"properties": {"test_it": one}}) for i, one in enumerate(outcomes, 1)]
    assert verdict_on(HELD, records).verdict.word == word
    (both,) = [
        record(
            {NDCG.name: {"ours": [0.5]}},
            case="ranking",
            extras={
                "properties": {"test_it": outcomes[0]},
                "ours": {"properties": {"test_it": outcomes[1], "test_other": False}},
            },
        )
    ]
    assert verdict_on(HELD, [both]).verdict.word == word


def test_outcomes_are_read_from_all_extras_and_from_nothing_else():
    extras = {
        "properties": {"a": True},
        "x": {"properties": {"a": False, "b": True}},
        "y": 3,
        "z": {"properties": 4},
    }
    assert _outcomes(SimpleNamespace(extras=extras)) == {"a": False, "b": True}
    assert _outcomes(SimpleNamespace(extras={})) == {}


def test_a_property_is_guarded_by_the_failures_of_its_own_cases_and_system():
    mine, theirs = with_outcome(1), with_outcome(2)
    failed = failure(9, "ranking")

    def judged_by(blocks):
        context = Context("smoke", Chosen(blocks, 0, 0), releasing=True)
        system = SimpleNamespace(name=SYSTEM, cases={}, claims=SimpleNamespace(paper="p"))
        return judge_claim(system, HELD, context)

    def of(*records, failures=()):
        return Blocks(tuple(records), tuple(failures))

    own = (SYSTEM, "ranking")
    assert judged_by({own: of(mine)}).n == 1
    assert judged_by({own: of(mine), ("other", "ranking"): of(theirs)}).n == 1
    assert judged_by({own: of(mine, failures=[failed])}).verdict.word == "invalid run"
    for elsewhere in ((SYSTEM, "speed"), ("other", "ranking")):
        assert judged_by({own: of(mine), elsewhere: of(failures=[failed])}).verdict.word == "reproduced"
    dirty = with_outcome(1, from_=provenance(dirty="x"))
    assert judged_by({own: of(dirty)}).verdict.reason.startswith("clean tree")


def test_own_data_change_nothing_of_where_a_claim_is_judged():
    own = data(origin="directory", verified=False)
    found = verdict_on(better(), [judged(s, data=own) for s in SEEDS], selection={"overrides": {"data": "d"}})
    assert found.verdict.word == "reproduced"
    assert found.command.endswith("--set data=DIR")
