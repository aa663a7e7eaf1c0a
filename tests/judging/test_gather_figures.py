"""Figures: the numbers that claims.toml declares, and what the run itself cost."""

import pytest
from judging.judged_records import COUNTED, FAST, figure
from records_factory import CPU, SEEDS, STEPS, failure, record, report

from remeasure.records.record import TWIN_SUFFIX


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
    nearly = {
        seed: {
            arm: [each * (1 + (seed + 2 * at) % 5 / 1000)] * 12
            for at, (arm, each) in enumerate(seconds.items())
        }
        for seed in SEEDS
    }
    steady = [record({CPU.name: nearly[seed]}, seed, twin_of="slow") for seed in SEEDS]
    (row,) = named(report(steady, figures=[figure]))
    assert row.value == pytest.approx(value, rel=0.005)
    assert (row.unit, row.target, row.met) == (unit, target, met)
    assert row.lo < row.value < row.hi


def test_figures_of_sums_and_largest():
    records = [record({STEPS.name: {"ours": [1.0, 2.0, 6.0 + seed]}}, seed, "queue") for seed in SEEDS]
    figures = [figure("total", case="queue", statistic="sum"), figure("worst", case="queue", statistic="max")]
    total, worst = named(report(records, figures=figures, cases=COUNTED))
    assert total.value == pytest.approx(12.0)
    assert (worst.value, worst.lo, worst.n) == (11.0, None, 15)


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
    (row,) = named(report([*FAST, failure(9)], figures=[wanted]))
    assert row.met is None
    assert row.target == "≤ 1 s"
    assert row.invalid.startswith("no failure: seed 9 failed")
