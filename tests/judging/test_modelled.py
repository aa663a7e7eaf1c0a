"""Numbers of a model whose inputs are drawn within their tolerances, and metrics that are ratios themselves."""

import numpy as np
import pytest
from records_factory import SPEEDUP, TTFT, case, claim, record, report, verdict_on

from remeasure.declared.claim_checks import claim_problem
from remeasure.declared.claims import Figure
from remeasure.judging.estimates import of_draws

DRAWS = np.random.default_rng(1).normal(size=(2, 400))


def drawn(metric, ours, theirs):
    """One block whose samples are draws."""
    return [record({metric.name: {"ours": list(ours), "slow": list(theirs)}}, 1, "device")]


def test_more_draws_make_no_narrower_range():
    few, many = (np.random.default_rng(0).normal(10, 1, size=n) for n in (500, 50_000))
    widths = [found.hi - found.lo for found in map(of_draws, (few, many))]
    assert widths == pytest.approx([3.92, 3.92], rel=0.1)


def test_a_ratio_of_draws_is_paired_draw_by_draw():
    base = np.exp(0.3 * DRAWS[0])
    found = verdict_on(
        claim(case="device", value=2.0, testability="modelled", about="algorithm"),
        drawn(TTFT, base, 2 * base),
        cases=(case("device", (TTFT,)),),
    )
    assert (found.estimate, found.lo, found.hi) == pytest.approx((2.0, 2.0, 2.0))
    assert found.verdict.word == "reproduced"
    assert "range" in found.how and found.spread == "range" and found.p is None


def test_uncertain_inputs_leave_the_size_of_a_modelled_claim_open():
    found = verdict_on(
        claim(case="device", value=2.0, testability="modelled", about="algorithm"),
        drawn(TTFT, np.exp(0.4 * DRAWS[0]), 2 * np.exp(0.4 * DRAWS[1])),
        cases=(case("device", (TTFT,)),),
    )
    assert found.lo < 1 < 2 < found.hi
    assert found.verdict.word == "inconclusive"


def test_a_metric_that_is_a_ratio_is_judged_without_a_baseline():
    speedups = 1.9 * np.exp(0.02 * DRAWS[0])
    alone = claim(case="device", value=1.85, baseline="", testability="modelled", about="algorithm")
    found = verdict_on(alone, drawn(SPEEDUP, speedups, speedups), cases=(case("device", (SPEEDUP,)),))
    assert found.estimate == pytest.approx(np.median(speedups))
    assert found.verdict.word == "reproduced"


def test_a_ratio_without_a_baseline_needs_a_metric_that_is_one():
    alone = claim(case="device", baseline="", testability="modelled")
    assert "itself a ratio" in claim_problem(alone, {"device": case("device", (TTFT,))})
    assert claim_problem(alone, {"device": case("device", (SPEEDUP,))}) == ""


@pytest.mark.parametrize(
    "figure", [Figure("x", "device", "ours"), Figure("x", "device", "ours", baseline="slow")]
)
def test_a_figure_of_draws_has_the_spread_of_the_draws_like_a_claim(figure):
    ours, theirs = np.exp(0.4 * DRAWS[0]), 2 * np.exp(0.4 * DRAWS[0] + 0.1 * DRAWS[1])
    made = report(drawn(TTFT, ours, theirs), figures=[figure], cases=(case("device", (TTFT,)),))
    (row,) = [row for row in made.figures if row.case]
    expected = of_draws(ours / theirs if figure.baseline else ours)
    assert (row.value, row.lo, row.hi) == pytest.approx((expected.estimate, expected.lo, expected.hi))
