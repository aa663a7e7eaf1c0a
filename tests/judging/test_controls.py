"""The A/A control: when it is biased, when too wide, and how many processes would do."""

import math
import re

import pytest
from judging.guarded import broken, refused_by, runs
from records_factory import (
    SEEDS,
    WALL,
    case,
    claim,
    record,
    timed,
    verdict_on,
)
from scipy import stats

from remeasure.judging.guards import control, needed_processes
from remeasure.judging.intervals import Interval, Part, half_width
from remeasure.records.record import TWIN_SUFFIX


def test_a_control_that_is_biased_is_refused():
    biased = verdict_on(claim(), [timed(seed, twin=1.03) for seed in SEEDS])
    assert (biased.verdict.word, refused_by(biased)) == ("invalid run", ["A/A control"])
    assert "A/A biased" in biased.verdict.reason
    assert "outside 1 ± 0.02" in biased.verdict.reason
    assert biased.estimate is not None


def test_a_control_a_little_off_one_is_not_biased_while_its_interval_reaches_what_is_allowed():
    assert verdict_on(claim(), [timed(seed, twin=1.018) for seed in SEEDS]).verdict.word == "reproduced"


def twin_off(*factors):
    """Processes whose twins are off by these factors, each way in turn."""
    return [timed(seed, twin=factor) for seed, factor in zip(SEEDS, factors, strict=True)]


def test_a_control_that_is_too_wide_is_refused_and_says_how_many_processes_it_needs():
    wide = verdict_on(claim(), twin_off(1.1, 0.9, 1.0, 1.1, 0.9))
    assert (wide.verdict.word, refused_by(wide)) == ("invalid run", ["A/A control"])
    needed = re.search(r"A/A too wide: .* about (\d+) processes needed", wide.verdict.reason)
    assert needed and 8 <= int(needed[1]) <= 40


def test_so_many_processes_as_a_wide_control_asks_for_are_enough():
    interval = Interval(1.0, 0.9, 1.1, 5, parts=(Part(0.002, 4),), logs=True)
    count = needed_processes(interval, 0.05)
    spread = 0.002 * 5
    assert half_width((Part(spread / count, count - 1),), 0.90) <= math.log1p(0.05)
    assert half_width((Part(spread / (count - 1), count - 2),), 0.90) > math.log1p(0.05)


def test_a_control_may_be_wider_on_the_wall_clock():
    on_wall = (case(metrics=(WALL,)),)
    off = (1.1, 0.9, 1.0, 1.1, 0.9)
    records = [timed(seed, twin=factor, metric=WALL) for seed, factor in zip(SEEDS, off, strict=True)]
    assert verdict_on(claim(), records, on_wall).verdict.word == "reproduced"
    biased = verdict_on(claim(), [timed(seed, twin=1.08, metric=WALL) for seed in SEEDS], on_wall)
    assert refused_by(biased) == ["A/A control"]
    assert "outside 1 ± 0.05" in biased.verdict.reason


NARROW = (Part(1e-8, 4),)


@pytest.mark.parametrize(
    ("estimate", "lo", "hi", "ok"),
    [
        (1.03, 1.02, 1.04, True),  # it reaches what is allowed
        (1.03, 1.0201, 1.04, False),
        (0.97, 0.96, 0.98, True),
        (0.97, 0.96, 0.9799, False),
        (1.0, 0.99, 1.01, True),
    ],
)
def test_a_control_is_biased_only_where_all_of_it_lies_outside(estimate, lo, hi, ok):
    assert control(Interval(estimate, lo, hi, 5, parts=NARROW, logs=True), "cpu").ok is ok


@pytest.mark.parametrize(("estimate", "ok"), [(1.048, True), (1.052, False), (0.952, True), (0.948, False)])
def test_a_control_is_too_wide_on_either_side(estimate, ok):
    assert control(Interval(estimate, 0.9, 1.1, 5, parts=NARROW, logs=True), "cpu").ok is ok


@pytest.mark.parametrize(
    ("clock", "bias", "width"),
    [("cpu", 0.02, 0.05), ("wall", 0.05, 0.12)],
)
def test_how_far_off_a_control_may_be_is_decided_by_its_clock(clock, bias, width):
    def ok(estimate, lo, hi):
        return control(Interval(estimate, lo, hi, 5, parts=NARROW, logs=True), clock).ok

    for side in (1, -1):
        off = 1 + side * bias
        assert ok(off, *sorted((off, off + side * 0.01)))
        assert not ok(off, *sorted((off + side * 1e-4, off + side * 0.01)))
        assert ok(1 + side * (width - 0.001), 0.5, 2.0)
        assert not ok(1 + side * (width + 0.001), 0.5, 2.0)


@pytest.mark.parametrize("variance", [1e-6, 2e-4, 0.002, 0.01, 0.03])
@pytest.mark.parametrize("n", [2, 5])
def test_needed_processes_are_the_fewest_that_would_do_and_never_fewer_than_there_are(variance, n):
    count = needed_processes(Interval(1.0, 0.9, 1.1, n, parts=(Part(variance, n - 1),), logs=True), 0.05)

    def half(processes):
        return stats.t.ppf(0.95, processes - 1) * math.sqrt(variance * n / processes)

    assert count >= n and half(count) <= math.log(1.05)
    assert count == n or half(count - 1) > math.log(1.05)


def test_nobody_is_asked_for_more_than_a_thousand_processes():
    assert needed_processes(Interval(1.0, 0.9, 1.1, 5, parts=(Part(100.0, 4),), logs=True), 0.05) == 1000


def test_no_process_is_left_out_for_its_own_control():
    judgement = verdict_on(claim(), twin_off(1.2, 1.0, 1.0, 1.0, 1.0))
    assert judgement.n == len(judgement.per_seed) == len(SEEDS)


def test_control_with_lost_rounds_is_refused():
    records = broken(runs(), lambda samples: samples["CPU seconds"]["slow" + TWIN_SUFFIX].pop())
    assert refused_by(verdict_on(claim(), records)) == ["A/A control"]


def without_twin(**changes):
    arms = {
        arm: [seconds * (1 + i / 1000) for i in range(12)] for arm, seconds in (("slow", 0.3), ("ours", 0.1))
    }
    return [record({"CPU seconds": arms}, seed, **changes) for seed in SEEDS]


@pytest.mark.parametrize("kind", ["ratio", "bound"])
def test_a_missing_twin_is_said_and_refused_whatever_the_number_of_arms(kind):
    one_arm = claim(kind="bound", margin=1.0, baseline="")
    judgement = verdict_on(claim() if kind == "ratio" else one_arm, without_twin())
    assert (judgement.verdict.word, refused_by(judgement)) == ("invalid run", ["A/A control"])
    assert "no twin" in judgement.verdict.reason
