"""From records to judgements, case tables, figures and notes."""

import msgspec
import numpy as np
import pytest
from records_factory import (
    CPU,
    LATENCY,
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
from remeasure.declared.claims import Figure
from remeasure.judging import notes
from remeasure.judging.judged import Report
from remeasure.records.record import TWIN_SUFFIX

FAST = [timed(seed) for seed in SEEDS]
RANKED = [judged(seed) for seed in SEEDS]
SIMULATED = data(kind="simulated", origin="simulator")


def simulated(latency, seeds=SEEDS, metric=LATENCY, **changes):
    """One number a seed and arm, as a simulator gives."""
    columns = {arm: {seed: value * (1 + seed / 100) for seed in seeds} for arm, value in latency.items()}
    return [
        record({metric.name: {arm: [of[seed]] for arm, of in columns.items()}}, seed, "queue", **changes)
        for seed in seeds
    ]


QUEUE = (case("queue", (LATENCY,)),)
COUNTED = (case("queue", (STEPS,)),)


def queue_claim(kind="ratio", **changes):
    return claim("queue", kind, **{"case": "queue", "about": "algorithm", **changes})


# ---- ratios


def test_time_ratio_pools_the_rounds_of_all_seeds():
    judgement = verdict_on(claim(), FAST)
    assert judgement.verdict.word == "reproduced"
    assert (judgement.n, judgement.seeds) == (36, [1, 2, 3])
    assert judgement.estimate == pytest.approx(3.0, rel=0.02)
    assert judgement.lo < 3.0 < judgement.hi
    assert judgement.per_seed == [pytest.approx(3.0, rel=0.02)] * 3


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
    assert (judgement.verdict.word, judgement.estimate, judgement.n) == ("reproduced", pytest.approx(2.0), 3)


def test_ratio_of_quality_is_one_of_means_so_zeros_are_welcome():
    values = {"slow": [0, 0.5, 1] * 50, "ours": [0, 0.75, 1.5] * 50}
    records = [record({NDCG.name: values}, seed, "ranking") for seed in SEEDS]
    judgement = verdict_on(claim("r", "ratio", case="ranking", value=1.5), records)
    assert (judgement.verdict.word, judgement.estimate) == ("reproduced", pytest.approx(1.5))


def test_ratio_of_a_single_simulated_seed_has_no_interval_and_no_verdict():
    one = simulated({"slow": 4.0, "ours": 2.0}, seeds=(1,))
    judgement = verdict_on(queue_claim(value=2.0), one, QUEUE)
    assert (judgement.verdict.word, judgement.estimate, judgement.lo) == (
        "inconclusive",
        pytest.approx(2.0),
        None,
    )
    always = (case("queue", (LATENCY,), tags=("deterministic",)),)
    assert verdict_on(queue_claim(value=2.0), one, always).verdict.word == "reproduced"


def test_exact_counts_need_one_seed_only():
    one = simulated({"slow": 40, "ours": 20}, seeds=(1,), metric=STEPS)
    judgement = verdict_on(queue_claim(value=2.0), one, COUNTED)
    assert (judgement.verdict.word, judgement.lo, judgement.hi) == ("reproduced", 2.0, 2.0)


# ---- differences


def test_quality_is_averaged_over_seeds_before_users_are_resampled():
    judgement = verdict_on(better(), RANKED)
    assert judgement.n == 400
    every = [np.subtract(r.samples[NDCG.name]["ours"], r.samples[NDCG.name]["tuned"]) for r in RANKED]
    assert judgement.estimate == pytest.approx(np.mean(every))
    assert judgement.per_seed == [pytest.approx(one.mean()) for one in every]
    assert judgement.verdict.word == "reproduced"
    assert "average over 3 seeds" in judgement.how
    assert judgement.headroom["ours reaches"] - judgement.headroom["tuned reaches"] == pytest.approx(
        judgement.estimate
    )


def test_lower_is_better_turns_the_sign():
    judgement = verdict_on(
        queue_claim("difference", value=None), simulated({"slow": 4.0, "ours": 3.0}), QUEUE
    )
    assert judgement.estimate == pytest.approx(1.02)
    assert judgement.verdict.word == "reproduced"


def test_difference_within_the_spread_of_seeds_is_inconclusive():
    judgement = verdict_on(better(), [judged(seed, gain=0.01, seed_noise=0.02) for seed in SEEDS])
    assert judgement.lo > 0
    assert judgement.verdict.word == "inconclusive"
    assert "seeds differ" in judgement.verdict.reason


def test_seeds_of_a_simulation_are_its_samples_so_their_spread_is_in_the_interval_already():
    records = [
        record({LATENCY.name: {"slow": [1.0 + gain], "ours": [1.0]}}, seed, "queue")
        for seed, gain in zip(SEEDS, (0.5, 1.0, 4.0), strict=True)
    ]
    judgement = verdict_on(queue_claim("difference", value=None), records, QUEUE)
    assert max(judgement.per_seed) - min(judgement.per_seed) > judgement.estimate
    assert judgement.verdict.word == "reproduced"


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


def test_users_that_differ_in_number_between_seeds_are_all_kept():
    records = [judged(1), judged(2), judged(3, users=300)]
    assert verdict_on(better(), records).n == 1100


# ---- the other kinds


def test_value_within_its_tolerance():
    def word(value, tolerance=0.02):
        stated = claim("v", "value", case="ranking", value=value, tolerance=tolerance, baseline="")
        return verdict_on(stated, RANKED)

    level = word(0.5).estimate
    assert word(level + 0.019).verdict.word == "reproduced"
    assert word(level + 0.021).verdict.word == "not reproduced"
    assert word(level, tolerance=None).verdict.word == "shown, not judged"


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


def test_bound_on_an_arms_own_number():
    bound = queue_claim("bound", baseline="", margin=3.0)
    assert verdict_on(bound, simulated({"ours": 2.9}), QUEUE).verdict.word == "reproduced"
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


# ---- what is not judged


def test_claim_that_cannot_be_tested_gives_its_reason():
    judgement = verdict_on(claim(testability="not-testable", why="No such machine."), FAST)
    assert (judgement.verdict.word, judgement.verdict.reason) == ("not testable here", "No such machine.")
    assert judgement.estimate is None


def test_calibrated_number_is_shown_and_stays_outside():
    judgement = verdict_on(
        queue_claim(value=2.0, calibrated=True), simulated({"slow": 4.0, "ours": 2.0}), QUEUE
    )
    assert (judgement.verdict.word, judgement.estimate) == ("calibrated", pytest.approx(2.0))
    assert verdict_on(queue_claim(value=2.0, calibrated=True), [], QUEUE).verdict.word == "calibrated"


def test_claim_about_data_is_shown_and_not_judged_on_simulated_data():
    made_up = [judged(seed, data=SIMULATED) for seed in SEEDS]
    judgement = verdict_on(better(), made_up)
    assert (judgement.verdict.word, judgement.data) == ("shown, not judged", "simulated")
    assert judgement.estimate == pytest.approx(0.02, abs=0.003)


def test_claim_about_an_algorithm_is_judged_on_simulated_data_and_says_so():
    judgement = verdict_on(claim(about="algorithm"), [timed(seed, data=SIMULATED) for seed in SEEDS])
    assert judgement.verdict.word == "reproduced"
    assert "simulated data" in judgement.verdict.reason.lower()


def test_failed_guard_outranks_simulated_data():
    judgement = verdict_on(better(), [judged(seed, data=SIMULATED, contract="no") for seed in SEEDS])
    assert judgement.verdict.word == "invalid run"


def test_remembered_claim_is_never_printed_as_the_papers():
    judgement = verdict_on(claim(unverified=True), FAST)
    assert (judgement.by, judgement.verdict.word) == ("other", "shown, not judged")
    assert "Remembered, not read" in judgement.verdict.reason
    assert "Author" not in judgement.source


def test_evidence_is_the_weakest_of_claim_and_records():
    assert verdict_on(claim(), FAST).evidence == "measured"
    assert verdict_on(claim(), [timed(s, evidence="scaled") for s in SEEDS]).evidence == "scaled"
    modelled = verdict_on(claim(testability="modelled"), FAST)
    assert modelled.evidence == "modelled"
    assert "Computed by a model." in modelled.verdict.reason


@pytest.mark.parametrize(
    "profile,records,said",
    [
        ("smoke", [], "Nothing is measured"),
        ("full", FAST, "no part of profile full"),
        ("tiny", FAST, "The arm ours does not run in profile tiny"),
    ],
)
def test_claim_without_records_is_not_run_and_says_why(profile, records, said):
    cases = (case(profiles={"smoke": At(seeds=SEEDS), "tiny": At(arms=("slow",))}),)
    judgement = verdict_on(claim(), records, cases, profile=profile)
    assert judgement.verdict.word == "not run"
    assert said in judgement.verdict.reason


def test_records_of_older_code_without_the_arm_are_not_run():
    records = [record({CPU.name: {"slow": [0.1] * 10}}, seed) for seed in SEEDS]
    assert verdict_on(claim(), records).verdict.reason == "The records have no arm ours; run the case again."


# ---- the way back


def test_every_number_leads_back_to_what_made_it():
    judgement = verdict_on(claim(), FAST)
    assert judgement.records == ["speed-1", "speed-2", "speed-3"]
    assert judgement.command == (
        "remeasure run --system made --case speed --seed 1 --seed 2 --seed 3 --profile smoke"
    )
    assert (judgement.commit, judgement.environment) == ("c" * 40, "e" * 64)
    assert (judgement.data, judgement.data_sha256) == ("real", "d" * 64)
    assert judgement.dirty is False
    assert verdict_on(claim(), [*FAST[:2], timed(3, from_=provenance(dirty="x"))]).dirty is True


def test_command_repeats_settings_and_own_data_without_a_path():
    own = data(origin="directory", verified=False)
    records = [timed(seed, overrides={"steps": "9"}, data=own) for seed in SEEDS]
    judgement = verdict_on(claim(), records, selection={"overrides": {"steps": "9", "data": "/home/me/x"}})
    assert judgement.command.endswith("--set steps=9 --set data=DIR")


# ---- which records count


def test_records_of_other_settings_are_a_report_of_their_own():
    changed = [timed(seed, key=f"o{seed}", ours=0.03, overrides={"steps": 9}) for seed in SEEDS]
    made = report([*FAST, *changed], [claim()])
    assert made.claims[0].estimate == pytest.approx(3.0, rel=0.02)
    assert any("other --set settings left out" in note for note in made.notes)
    asked = report([*FAST, *changed], [claim()], selection={"overrides": {"steps": "9"}})
    assert asked.claims[0].estimate == pytest.approx(1.0, rel=0.02)


def test_own_data_are_a_report_of_their_own_and_so_are_their_failures():
    own = [timed(s, key=f"o{s}", data=data(origin="directory", verified=False)) for s in SEEDS]
    failed = failure(4, from_=provenance(command="remeasure run --case speed --set data=DIR"))
    assert report([*own, failed], [claim()]).claims[0].verdict.word == "not run"
    made = report([*FAST, *own, failed], [claim()])
    assert (made.claims[0].records[0], made.claims[0].verdict.word) == ("speed-1", "reproduced")
    asked = report([*FAST, *own, failed], [claim()], selection={"overrides": {"data": "x"}})
    assert asked.claims[0].records == ["o1", "o2", "o3"]
    assert asked.claims[0].verdict.word == "invalid run"


def at(started, fingerprint="f"):
    return provenance(started=f"2026-07-{started:02}T10:00:00+00:00", fingerprint=fingerprint * 64)


def test_of_several_records_of_a_seed_the_newest_counts():
    older = [timed(seed, key=f"a{seed}", from_=at(1), ours=0.03) for seed in SEEDS]
    newer = [timed(seed, key=f"b{seed}", from_=at(2)) for seed in SEEDS]
    for records in ([*older, *newer], [*newer, *older]):
        assert verdict_on(claim(), records).records == ["b1", "b2", "b3"]


def test_records_of_todays_code_count_before_newer_ones_of_other_code():
    todays = [timed(seed, key=f"a{seed}", from_=at(1, "1")) for seed in SEEDS]
    others = [timed(seed, key=f"b{seed}", from_=at(2, "2")) for seed in (*SEEDS, 4)]
    known = verdict_on(claim(), [*todays, *others], fingerprint=lambda system, name: "1" * 64)
    assert known.records == ["a1", "a2", "a3"]
    unknown = report([*todays, *others], [claim()], fingerprint=lambda system, name: "")
    assert unknown.claims[0].records == ["b1", "b2", "b3", "b4"]
    assert any("of older code left out" in note for note in unknown.notes)


def test_failure_that_was_repeated_with_success_is_forgotten_and_a_newer_one_is_not():
    early, late = failure(1, key="x", from_=at(1)), failure(1, key="x", from_=at(9))
    runs = [timed(seed, from_=at(5)) for seed in SEEDS]
    assert verdict_on(claim(), [early, *runs]).verdict.word == "reproduced"
    assert verdict_on(claim(), [late, *runs]).verdict.word == "invalid run"


# ---- the rest of the report


def test_papers_claims_come_first_then_others_then_ours():
    claims = [
        claim("a", by="remeasure"),
        claim("b", by="other", source="a blog"),
        claim("c"),
        claim("d", unverified=True),
        claim("e"),
    ]
    assert [judgement.id for judgement in report(FAST, claims).claims] == ["c", "e", "b", "d", "a"]


def test_every_arm_of_every_metric_has_a_row():
    rows = report([*FAST, *RANKED]).cases
    assert [(row.case, row.metric, [arm.arm for arm in row.arms]) for row in rows] == [
        ("speed", CPU.name, ["slow", "tuned", "ours"]),
        ("ranking", NDCG.name, ["slow", "tuned", "ours", "peek"]),
    ]
    ours = rows[1].arms[2]
    assert (ours.n, len(ours.per_seed), ours.role) == (400, 3, "reference")
    assert ours.lo < ours.mean < ours.hi
    assert rows[1].arms[3].invalid
    timed_arm = rows[0].arms[0]
    assert timed_arm.mean == pytest.approx(np.median([x for r in FAST for x in r.samples[CPU.name]["slow"]]))


def test_noise_is_shown_for_every_twin():
    (row,) = report(FAST).noise
    assert (row.case, row.clock, row.n, row.ok) == ("speed", "cpu", 36, True)
    (row,) = report([timed(seed, twin=1.1) for seed in SEEDS]).noise
    assert row.ok is False


def test_failures_are_shown():
    (row,) = report([*FAST, failure(4)]).failures
    assert (row.case, row.seed, row.kind, row.log_tail) == ("speed", 4, "timeout", "round 7")


def figure(name, **changes):
    return Figure(name=name, **{"case": "speed", "arm": "ours", **changes})


def named(made):
    """The figures that claims.toml declares; what the run itself cost stands after them."""
    return [row for row in made.figures if row.case]


@pytest.mark.parametrize(
    "figure,value,unit,target,met",
    [
        (figure("time", statistic="median"), 0.010, "s", "", None),
        (figure("ms", statistic="median", scale=1000, unit="ms", at_most=20), 10, "ms", "≤ 20 ms", True),
        (
            figure("rate", statistic="median", invert=True, unit="1/s", at_least=200),
            100,
            "1/s",
            "≥ 200 1/s",
            False,
        ),
        (figure("part of slow", baseline="slow", statistic="median"), 1 / 3, "", "", None),
        (figure("speedup", baseline="slow", statistic="median", invert=True, at_least=2), 3, "", "≥ 2", True),
        (figure("mean part", baseline="slow"), 1 / 3, "", "", None),
    ],
)
def test_figures(figure, value, unit, target, met):
    seconds = {"slow": 0.03, "tuned": 0.015, "ours": 0.01, "slow" + TWIN_SUFFIX: 0.03}
    rounds = {CPU.name: {arm: [each] * 12 for arm, each in seconds.items()}}
    steady = [record(rounds, seed, twin_of="slow") for seed in SEEDS]
    (row,) = named(report(steady, figures=[figure]))
    assert row.value == pytest.approx(value)
    assert (row.unit, row.target, row.met) == (unit, target, met)
    assert row.lo <= row.value <= row.hi


def test_figures_of_sums_and_largest():
    records = [record({STEPS.name: {"ours": [1.0, 2.0, 6.0 + seed]}}, seed, "queue") for seed in SEEDS]
    figures = [figure("total", case="queue", statistic="sum"), figure("worst", case="queue", statistic="max")]
    total, worst = named(report(records, figures=figures, cases=COUNTED))
    assert total.value == pytest.approx(11.0)
    assert (worst.value, worst.lo, worst.n) == (9.0, None, 9)


def test_figure_without_its_arm_or_records_is_left_out():
    assert report([], figures=[figure("time")]).figures == []
    without = [record({CPU.name: {"slow": [0.1] * 10}}, seed) for seed in SEEDS]
    assert named(report(without, figures=[figure("time"), figure("part", baseline="slow")])) == []


def test_what_the_run_cost_stands_among_the_figures():
    cost = [row for row in report(FAST).figures if not row.case]
    assert [row.unit for row in cost] == ["min", "CPU minutes", "GB"]
    assert all(row.n == len(FAST) for row in cost)


def test_target_of_a_figure_is_not_judged_where_a_guard_fails():
    wanted = figure("time", statistic="median", at_most=1)
    (row,) = named(report([*FAST, failure(4)], figures=[wanted]))
    assert row.met is None
    assert "not judged" in row.target


def test_the_same_records_give_the_same_report_in_any_order():
    records = [*FAST, *RANKED, failure(4)]
    claims = [claim(), better()]
    encoded = [msgspec.json.encode(report(found, claims)) for found in (records, records[::-1])]
    assert encoded[0] == encoded[1]
    assert msgspec.json.decode(encoded[0], type=Report).claims[0].id == "faster"


def test_date_is_that_of_the_latest_record():
    made = report([timed(1, from_=at(3)), timed(2, from_=at(8))])
    assert (made.date, made.systems[0].date) == ("2026-07-08", "2026-07-08")


def test_system_row_names_every_commit_and_marks_a_dirty_tree():
    assert report(FAST).systems[0].commit == "c" * 40
    assert report([timed(1, from_=provenance(dirty="x"))]).systems[0].commit == "c" * 40 + "+dirty"
    two = report([timed(1), timed(2, from_=provenance(commit="a" * 40))])
    assert two.systems[0].commit == f"{'a' * 40}, {'c' * 40}"
    assert report([]).systems[0].commit == ""


@pytest.mark.parametrize(
    "records,said",
    [
        ([judged(s, data=SIMULATED) for s in SEEDS], "Simulated data: made/ranking"),
        ([judged(1)], "One seed: made/ranking"),
        ([judged(1)], "Not all declared seeds are measured: made/ranking (1 of 3)"),
        ([timed(1, budget_ended=True)], "The budget ended before all rounds of made/speed"),
        ([timed(1, from_=provenance(dirty="x"))], "Uncommitted changes: made/speed"),
        ([failure(1)], "Failed blocks: made/speed"),
        ([timed(1, contract="x")], "The contract tests refused made/speed"),
    ],
)
def test_notes_are_loud(records, said):
    assert any(note.startswith(said) for note in report(records).notes)


def test_many_cases_of_a_system_are_counted_not_named():
    few = [f"small/{n}" for n in range(2)]
    assert notes._list([*few, *(f"large/{n}" for n in range(9)), ""]) == "small/0, small/1, 9 cases of large"


def test_nothing_is_said_of_an_honest_full_run():
    assert report([*FAST, *RANKED]).notes == []


@pytest.mark.parametrize(
    "selection,claims,cases",
    [
        (None, {"faster", "better"}, {"speed", "ranking"}),
        ({"cases": ["speed"]}, {"faster"}, {"speed"}),
        ({"cases": ["made/ranking"]}, {"better"}, {"ranking"}),
        ({"claims": ["better"]}, {"better"}, {"ranking"}),
        ({"claims": ["made/faster"]}, {"faster"}, {"speed"}),
        ({"tags": ["quick"]}, {"faster"}, {"speed"}),
        ({"systems": [SYSTEM]}, {"faster", "better"}, {"speed", "ranking"}),
        ({"systems": ["other"]}, set(), set()),
    ],
)
def test_selection(selection, claims, cases):
    declared = (case(tags=("quick",)), case("ranking", (NDCG,)))
    made = report([*FAST, *RANKED], [claim(), better()], cases=declared, selection=selection)
    assert {judgement.id for judgement in made.claims} == claims
    assert {row.case for row in made.cases} == cases


def test_selected_seeds_only():
    assert verdict_on(better(), RANKED, selection={"seeds": [1, 2]}).seeds == [1, 2]


def test_release_stands_beside_and_what_vanished_is_named():
    released = {
        "claims": [{"system": SYSTEM, "id": "faster", "verdict": "reproduced"},
                   {"system": SYSTEM, "id": "gone", "verdict": "reproduced"},
                   {"system": SYSTEM, "id": "never", "verdict": "not run"}],
        "figures": [{"system": SYSTEM, "name": "time"}, {"system": SYSTEM, "name": "old figure"}],
    }  # fmt: skip
    made = report(FAST, [claim()], [figure("time")], release=released)
    assert made.release == released
    assert made.vanished == ["claim made/gone", "figure made: old figure"]
    assert report([], [claim()], release=released).vanished[0] == "claim made/faster"
    part = report(FAST, [claim()], [figure("time")], release=released, selection={"cases": ["speed"]})
    assert part.vanished == []
