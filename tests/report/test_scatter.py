"""A scatter that a round returned reaches the page, and one that is none does not break it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from records_factory import case as made
from records_factory import record

from remeasure.judging.judged import CaseSummary, Scatter
from remeasure.judging.summary import case_summaries
from remeasure.report.charts import cloud
from remeasure.report.html import page
from report.sample import sample

POINTS = [[1e-6, 0.5, "near", "a <b>"], [1e-2, 0.001, "far", "c"], [1e-4, 0.02, "near", "d"]]
GOOD = {"x": "distance", "y": "harm, nat", "points": POINTS, "lines": {"limit": 0.01}}


def summed(extras: Any) -> CaseSummary:
    samples = {"steps": {"ours": [1.0], "slow": [2.0]}}
    return case_summaries(made("steps"), [record(samples, extras={"slow": {}, "ours": extras})])[0]


def test_the_newest_scatter_of_any_arm_is_kept() -> None:
    assert summed({"scatter": GOOD}).scatter == msgspec.convert(GOOD, Scatter)
    assert summed({}).scatter is None


@pytest.mark.parametrize("bad", [None, {"x": "distance"}, {**GOOD, "points": [[1, 2]]}, {**GOOD, "more": 1}])
def test_what_is_no_scatter_is_not_drawn(bad: Any) -> None:
    assert summed({"scatter": bad}).scatter is None


def test_points_stand_where_their_numbers_are_and_kinds_have_colours() -> None:
    drawn = cloud(summed({"scatter": GOOD}))
    assert drawn is not None and drawn.x.log and drawn.y.log
    (near, x1, y1, said), (far, x2, y2, _), (again, x3, y3, _) = drawn.dots
    assert near == again != far and drawn.styles == {"near": near, "far": far}
    assert x1 < x3 < x2 and y1 < y3 < y2  # from the top: what harms most is highest
    assert said == "a <b>: 1e-06, 0.5"
    assert drawn.lines == [("limit", pytest.approx(100 - drawn.y.at(0.01)))]


def test_fewer_than_two_points_are_no_picture() -> None:
    assert cloud(summed({"scatter": {**GOOD, "points": POINTS[:1]}})) is None
    infinite = msgspec.structs.replace(
        summed({}), scatter=Scatter(x="", y="", points=[(1, float("inf"), "", "")] * 3)
    )
    assert cloud(infinite) is None


def test_the_page_draws_it_and_escapes_names() -> None:
    whole = sample()
    first = msgspec.structs.replace(whole.cases[0], scatter=msgspec.convert(GOOD, Scatter))
    text = page(msgspec.structs.replace(whole, cases=[first, *whole.cases[1:]]))
    assert 'aria-label="harm, nat over distance, 3 points"' in text
    assert "a &lt;b&gt;: 1e-06, 0.5" in text and "a <b>" not in text
    assert "harm, nat" not in page(whole)
