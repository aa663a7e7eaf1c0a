"""What stands beside the claims: arms, controls, failures and figures, field by field."""

import math

import msgspec
import numpy as np
import pytest
from judging.judged_records import COUNTED, FAST, QUEUE, RANKED, SIMULATED, figure, simulated
from records_factory import (
    CPU,
    INVALID,
    LATENCY,
    NDCG,
    SEEDS,
    STEPS,
    SYSTEM,
    WALL,
    case,
    data,
    failure,
    judged,
    provenance,
    record,
    report,
    timed,
)

from remeasure.judging.summary import case_summaries, command, noise_rows, one, weakest
from remeasure.records.record import TWIN_SUFFIX, ArmRecord


def named(made):
    return [row for row in made.figures if row.case]


# --- arms


def test_a_case_says_all_that_was_declared_of_it_and_where_it_comes_from():
    lines = {"half": 0.5}
    declared = case("ranking", (NDCG,), question="Who ranks best?", axis="users", lines=lines)
    (row,) = case_summaries(declared, RANKED)
    assert (row.system, row.case, row.question, row.metric) == (
        SYSTEM,
        "ranking",
        "Who ranks best?",
        NDCG.name,
    )
    assert (row.unit, row.better, row.kind, row.per) == ("", "higher", "quality", "user")
    assert (row.evidence, row.data, row.data_label) == ("measured", "real", "things (all)")
    assert (row.axis, row.lines, row.scatter) == ("users", lines, None)
    assert (row.seeds, row.commit, row.environment) == (list(SEEDS), "c" * 40, "e" * 64)
    assert row.command == command(RANKED)


def test_an_arm_says_all_that_was_declared_of_it():
    arm = ArmRecord(role="optimized", config={"depth": 3}, series="ours", x=4.0, tuning={"trials": 2})
    records = [msgspec.structs.replace(one, arms={**one.arms, "ours": arm}) for one in RANKED]
    (row,) = case_summaries(case("ranking", (NDCG,)), records)
    found = {arm.arm: arm for arm in row.arms}
    ours = found["ours"]
    assert (ours.role, ours.config, ours.series, ours.x) == ("optimized", {"depth": 3}, "ours", 4.0)
    assert ours.tuning == {"trials": 2}
    assert (ours.spread, ours.invalid, found["peek"].invalid) == ("interval", "", INVALID["peek"])


def test_lines_and_scatter_are_drawn_once_a_case():
    columns = {CPU.name: {"ours": [0.1, 0.2]}, STEPS.name: {"ours": [3.0]}}
    drawn = {"x": "time", "y": "steps", "points": [[1.0, 2.0, "a"]]}
    records = [record(columns, seed, extras={"ours": {"scatter": drawn}}) for seed in SEEDS]
    first, second = case_summaries(case(metrics=(CPU, STEPS), lines={"one": 1.0}), records)
    assert (first.lines, second.lines) == ({"one": 1.0}, {})
    assert second.scatter is None


def test_a_level_that_has_no_estimate_is_the_plain_mean():
    records = [record({CPU.name: {"ours": [0.0, 0.2], "slow": [0.1, 0.1]}}, seed) for seed in (1, 2)]
    (row,) = case_summaries(case(), records)
    ours = next(arm for arm in row.arms if arm.arm == "ours")
    assert (ours.mean, ours.n, ours.spread, ours.per_seed) == (pytest.approx(0.1), 4, "none", [])


def test_an_arm_whose_samples_are_not_finite_is_left_out_and_so_is_a_metric_without_arms():
    records = [record({CPU.name: {"ours": [math.nan, 0.2], "slow": [0.1, 0.1]}}, seed) for seed in (1, 2)]
    (row,) = case_summaries(case(), records)
    assert [arm.arm for arm in row.arms] == ["slow"]
    assert case_summaries(case(), [record({CPU.name: {"ours": [math.inf]}})]) == []


def test_a_metric_that_only_the_newest_record_has_is_of_that_record():
    old, new = record({CPU.name: {"ours": [0.1]}}, 1), record({STEPS.name: {"ours": [3.0]}}, 2)
    (row,) = case_summaries(case(metrics=(CPU, STEPS)), [old, new])
    assert (row.metric, row.arms[0].n) == (STEPS.name, 1)


def test_of_a_deterministic_case_a_level_is_exact():
    declared = case("queue", (STEPS,), tags=("deterministic",))
    (row,) = case_summaries(declared, [record({STEPS.name: {"ours": [3.0]}}, 1, "queue")])
    assert row.arms[0].spread == "none"


# --- controls and failures


def test_a_control_has_all_of_its_interval_and_its_word():
    (row,) = noise_rows(FAST)
    assert (row.system, row.case, row.clock, row.n, row.ok) == (SYSTEM, "speed", "cpu", 5, True)
    assert row.lo < row.ratio < row.hi
    assert row.detail.startswith(f"{row.ratio:.3f} [{row.lo:.3f}, {row.hi:.3f}]")
    unpaired = msgspec.structs.replace(
        FAST[0], samples={CPU.name: {"slow": [1.0, 2.0], "slow" + TWIN_SUFFIX: [1.0]}}
    )
    assert noise_rows([unpaired]) == []
    assert noise_rows(RANKED) == []


def test_a_failure_says_what_failed():
    (row,) = report([failure(9)]).failures
    assert (row.system, row.case, row.seed, row.kind) == (SYSTEM, "speed", 9, "timeout")
    assert (row.message, row.log_tail) == ("It took longer than 60 s.", "round 7")


# --- figures


def only(records, declared, cases=QUEUE, **options):
    (row,) = named(report(records, figures=[declared], cases=cases, **options))
    return row


def test_a_figure_says_where_it_comes_from():
    row = only(FAST, figure("time"), ())
    assert (row.system, row.name, row.case, row.arm) == (SYSTEM, "time", "speed", "ours")
    assert (row.evidence, row.data, row.data_sha256) == ("measured", "real", "d" * 64)
    assert (row.spread, row.n, row.invalid, row.target, row.met) == ("interval", 5, "", "", None)
    named_metric = only(FAST, figure("time", metric=CPU.name), ())
    assert (named_metric.value, named_metric.lo) == (row.value, row.lo)
    assert named(report(FAST, figures=[figure("no", metric="latency")])) == []


@pytest.mark.parametrize(
    ("statistic", "value", "n"), [("max", 6.0, 6), ("sum", 8.5, 2), ("median", 2.5, 2), ("mean", 8.5 / 3, 2)]
)
def test_a_statistic_is_of_all_samples_or_of_each_block(statistic, value, n):
    records = [
        record({LATENCY.name: {"ours": [1.0, 2.0, 6.0]}}, 1, "queue"),
        record({LATENCY.name: {"ours": [1.0, 3.0, 4.0]}}, 2, "queue"),
    ]
    row = only(records, figure("f", case="queue", statistic=statistic))
    assert (row.value, row.n) == (pytest.approx(value), n)


@pytest.mark.parametrize(
    ("statistic", "changes", "value"),
    [
        ("max", {}, 4.0),
        ("max", {"baseline": "slow"}, 0.5),
        ("max", {"baseline": "slow", "invert": True}, 8.0),
        ("max", {"invert": True}, 1.0),
        ("sum", {"baseline": "slow"}, 0.625),
        ("sum", {"invert": True}, 1.25),
        ("sum", {"scale": 10.0}, 50.0),
        ("mean", {"invert": True}, 0.4),
        ("mean", {"baseline": "slow"}, 0.5),
        ("mean", {"baseline": "slow", "invert": True}, 2.0),
    ],
)
def test_a_figure_is_divided_inverted_and_scaled_in_that_order(statistic, changes, value):
    columns = {LATENCY.name: {"ours": [1.0, 4.0], "slow": [8.0, 8.0] if statistic != "mean" else [2.0, 8.0]}}
    if statistic == "max" and changes.get("baseline"):
        columns[LATENCY.name]["slow"] = [8.0, 8.0]
    records = [record(columns, seed, "queue") for seed in (1, 2)]
    row = only(records, figure("f", case="queue", statistic=statistic, **changes))
    assert row.value == pytest.approx(value)
    unit = "s" if not {"baseline", "invert"} & set(changes) else ""
    assert row.unit == unit


def test_a_figure_that_would_divide_by_nothing_is_left_out():
    records = [record({LATENCY.name: {"ours": [0.0, 1.0], "slow": [0.0, 1.0]}}, 1, "queue")]
    for changes in ({"invert": True}, {"baseline": "slow"}):
        declared = figure("f", case="queue", statistic="max", **changes)
        assert named(report(records, figures=[declared], cases=QUEUE)) == []


@pytest.mark.parametrize(("under", "shown"), [([0.0, 2.0], []), ([-1.0, 2.0], [2.0])])
def test_one_division_by_nothing_is_enough_also_where_the_largest_is_finite(under, shown):
    records = [record({LATENCY.name: {"ours": [-1.0, 4.0], "slow": under}}, 1, "queue")]
    declared = figure("f", case="queue", statistic="max", baseline="slow")
    found = report(records, figures=[declared], cases=QUEUE).figures
    assert [row.value for row in found if row.name == "f"] == shown


def test_sums_of_a_deterministic_case_are_exact_and_of_another_have_an_interval():
    records = [record({STEPS.name: {"ours": [1.0, 2.0 + seed]}}, seed, "queue") for seed in SEEDS]
    declared = figure("f", case="queue", statistic="sum")
    assert (only(records, declared, COUNTED).spread, only(records, declared, COUNTED).n) == ("interval", 5)
    exact = (case("queue", (STEPS,), tags=("deterministic",)),)
    row = only(records, declared, exact)
    assert (row.spread, row.lo, row.hi, row.value) == ("none", None, None, 6.0)


@pytest.mark.parametrize(
    ("bounds", "target", "met"),
    [
        ({"at_least": 5.0}, "≥ 5 s", True),
        ({"at_least": 5.1}, "≥ 5.1 s", False),
        ({"at_most": 5.0}, "≤ 5 s", True),
        ({"at_most": 4.9}, "≤ 4.9 s", False),
        ({"at_least": 1.0, "at_most": 4.0}, "≥ 1 s and ≤ 4 s", False),
        ({"at_least": 6.0, "at_most": 7.0}, "≥ 6 s and ≤ 7 s", False),
        ({"at_least": 5.0, "at_most": 5.0, "unit": "widgets"}, "≥ 5 widgets and ≤ 5 widgets", True),
    ],
)
def test_a_target_is_met_at_its_bound(bounds, target, met):
    records = [record({LATENCY.name: {"ours": [5.0]}}, seed, "queue") for seed in SEEDS]
    row = only(records, figure("f", case="queue", statistic="max", **bounds))
    assert (row.target, row.met) == (target, met)


def test_a_figure_on_simulated_data_of_several_commits_says_so():
    records = [
        *simulated({"ours": 1.0}, SEEDS[:3], data=SIMULATED, evidence="modelled"),
        *simulated({"ours": 1.0}, SEEDS[3:], data=data(sha256="9" * 64)),
    ]
    row = only(records, figure("f", case="queue"))
    assert row.evidence == "modelled"
    assert row.data == "simulated, real"
    assert row.data_sha256 == f"{'d' * 64}, {'9' * 64}"
    assert row.invalid.startswith("same data: the seeds ran on different data")


# --- words


def test_evidence_is_as_weak_as_the_weakest():
    assert weakest(["measured", "scaled", "measured"]) == "scaled"
    assert weakest(["modelled", "scaled"]) == "modelled"
    assert weakest(["measured"]) == "measured"
    assert weakest([]) == ""


def test_values_that_differ_stand_side_by_side():
    assert one(["b", "", "a", "b"]) == "b, a"
    assert one([]) == ""


def test_a_command_measures_the_same_blocks_again():
    assert command(RANKED[:2]) == (
        "remeasure run --system made --case ranking --seed 1 --seed 2 --profile smoke"
    )
    other = [judged(3, overrides={"users": "3 4", "depth": 2}, data=data(origin="directory"))]
    assert command(other) == (
        "remeasure run --system made --case ranking --seed 3 --profile smoke --set 'users=3 4' --set depth=2 "
        "--set data=DIR"
    )
    assert command([failure(1)]).endswith("--profile smoke")


def test_the_numbers_of_an_arm_are_those_of_its_effect():
    (row,) = case_summaries(case(), FAST)
    medians = [np.exp(np.median(np.log(one.samples[CPU.name]["ours"]))) for one in FAST]
    ours = next(arm for arm in row.arms if arm.arm == "ours")
    assert ours.per_seed == pytest.approx(medians)
    assert ours.n == len(SEEDS)
    assert {one.provenance.commit for one in FAST} == {row.commit}
    two = [timed(1), timed(2, from_=provenance(commit="a" * 40, environment="9" * 64))]
    (row,) = case_summaries(case(), two)
    assert row.commit == f"{'c' * 40}, {'a' * 40}"
    assert row.environment == f"{'e' * 64}, {'9' * 64}"


def test_a_metric_that_cannot_be_shown_hides_none_that_comes_after_it():
    twin = "slow" + TWIN_SUFFIX
    walls = {"slow": [1.0, 1.1], twin: [1.0, 1.1]}
    nothing = [record({CPU.name: {"ours": [math.nan]}, STEPS.name: {"ours": [3.0]}}, seed) for seed in SEEDS]
    assert [row.metric for row in case_summaries(case(metrics=(CPU, STEPS)), nothing)] == [STEPS.name]
    unpaired = {CPU.name: {"slow": [1.0, 2.0], twin: [1.0]}, WALL.name: walls}
    records = [record(unpaired, seed, twin_of="slow") for seed in SEEDS]
    assert [row.clock for row in noise_rows(records)] == ["wall"]


def test_of_several_guards_that_refuse_a_figure_the_first_is_named():
    records = [timed(seed, contract="x", ours=0.0001) for seed in SEEDS]
    (row,) = named(report(records, figures=[figure("time")]))
    assert row.invalid == "contract: seeds 1, 2, 3, 4, 5: x"


def test_one_block_that_is_not_whole_is_enough_to_leave_a_number_out():
    half = [
        record({CPU.name: {"ours": [0.1], "slow": [0.1]}}, 1),
        record({CPU.name: {"ours": [math.nan], "slow": [0.1]}}, 2),
    ]
    (row,) = case_summaries(case(), half)
    assert [arm.arm for arm in row.arms] == ["slow"]
    mixed = [record({CPU.name: {"ours": [0.1]}}, 1), record({STEPS.name: {"ours": [1.0]}}, 2)]
    assert named(report(mixed, figures=[figure("time", metric=CPU.name)])) == []


def test_a_figure_of_an_uncommitted_tree_is_shown_until_it_is_released():
    records = [timed(seed, from_=provenance(dirty="x")) for seed in SEEDS]
    (row,) = named(report(records, figures=[figure("time")]))
    assert row.invalid == ""
