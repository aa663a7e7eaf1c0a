"""The calibration's errors: what the model must reach, that left-out models are unseen, and what is not reached."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pytest

from remeasure.impls.flexserve.sim import fit
from remeasure.impls.flexserve.sim.calibration import Calibration, read
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.facts import MODELS as SHAPES
from remeasure.impls.flexserve.sim.rows import MODELS, SYSTEMS, Row, mean_error, scatter
from remeasure.impls.flexserve.sim.timeline import prefill
from remeasure.impls.flexserve.sim.yardsticks import size_law_told
from remeasure.impls.flexserve.systems import STRAWMAN

NPU_SYSTEMS = ("NW-Base", "FlexServe", "Strawman-OPT")
GOAL = 0.10
STRAWMAN_REACHED = 0.15
"""Above the goal: two models of one size differ by up to 44 % in the figure, so that no law of size meets both."""
OUTSIDE = {("Figure 2", "NW-Infer", "TTFT part: load, sequential (no pipeline)")}
"""7.5 GB at Table 1's rate take longer than Figure 2 shows, by a little more than twice the digitising error."""


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return read()


@pytest.fixture(scope="module")
def rows(calibration: Calibration) -> list[Row]:
    return fit.report(calibration)


def ttft(rows: Iterable[Row], role: str, system: str) -> list[Row]:
    return [
        r for r in rows if r.figure == "Figure 5" and r.unit == "s" and r.role == role and r.system == system
    ]


@pytest.mark.parametrize("system", NPU_SYSTEMS)
def test_models_left_out_are_met_within_ten_percent(rows: list[Row], system: str) -> None:
    left_out = ttft(rows, "left out", system)
    assert len(left_out) == 16
    assert mean_error(left_out) <= GOAL


def test_the_strawman_misses_the_goal_by_a_stated_margin(rows: list[Row]) -> None:
    assert GOAL < mean_error(ttft(rows, "left out", "Strawman")) <= STRAWMAN_REACHED


def test_no_law_of_size_comes_nearer_to_the_strawman_than_the_one_that_is_told_its_bars(
    calibration: Calibration,
) -> None:
    """Random laws around the told one: power and factors of all prompt lengths a little, or a lot, different."""
    told = size_law_told(calibration)
    least = mean_error(told)
    paper = np.array([row.paper for row in told]).reshape(len(MODELS), -1)
    said = np.array([row.modelled for row in told]).reshape(paper.shape)
    assert least < mean_error(ttft(fit.left_out(calibration), "left out", "Strawman"))
    costs = Costs(calibration)
    before = np.array(
        [
            [
                bar.ttft_s - bar.busy["compute"]
                for n in (64, 128, 256, 512)
                for bar in [prefill(STRAWMAN, m, n, costs)]
            ]
            for m in MODELS
        ]
    )
    sizes = np.array([SHAPES[m].layer_weights for m in MODELS])
    factor = np.log(said[0] - before[0])
    power = np.log((said[1] - before[1]) / (said[0] - before[0])).mean() / np.log(sizes[1] / sizes[0])
    rng = np.random.default_rng(0)
    for _ in range(2000):
        width = rng.choice([0.01, 0.1, 0.5])
        c, p = factor + rng.normal(0, width, 4), power + rng.normal(0, width)
        law = before + np.exp(c + p * np.log(sizes / sizes[0])[:, None])
        assert np.abs(law / paper - 1).mean() > least - 1e-4


@pytest.mark.parametrize("end", [0.0, 1.0])
@pytest.mark.parametrize("system", NPU_SYSTEMS)
def test_the_goal_is_met_at_both_ends_of_what_is_assumed_for_unseen_models(
    calibration: Calibration, end: float, system: str
) -> None:
    rows = fit.left_out(calibration.assuming(unseen_by_weight=end))
    assert mean_error(ttft(rows, "left out", system)) <= GOAL


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_model_beats_scaling_the_other_bars_by_size(rows: list[Row], system: str) -> None:
    assert mean_error(ttft(rows, "left out", system)) < mean_error(ttft(rows, "trivial", system))


@pytest.mark.parametrize("baseline", ["Strawman-OPT", "Strawman"])
def test_the_model_beats_one_speedup_for_all(rows: list[Row], baseline: str) -> None:
    of = [row for row in rows if row.what == f"speedup over {baseline}"]
    model, rule = ([row for row in of if row.role == role] for role in ("left out", "trivial"))
    assert len(model) == len(rule) == 16
    assert mean_error(model) < mean_error(rule)


def test_elsewhere_every_input_and_check_is_within_twice_its_tolerance(rows: list[Row]) -> None:
    counted = [row for row in rows if row.figure != "Figure 5" and row.role in ("calibrated", "check")]
    outside = {(row.figure, row.system, row.what) for row in counted if not row.within}
    assert len(counted) == 80
    assert outside == OUTSIDE


def test_the_disputed_cells_are_listed_and_not_counted(rows: list[Row]) -> None:
    disputed = [row for row in rows if row.role == "disputed"]
    assert {(row.figure, row.system) for row in disputed} == {("Figure 2", "NW-Infer")}
    assert len(disputed) == 2


def test_every_row_has_a_number_a_tolerance_and_a_place(rows: list[Row]) -> None:
    for row in rows:
        assert math.isfinite(row.modelled) and row.tolerance > 0 and row.paper > 0
        assert row.figure and (row.model or row.figure in ("Table 1", "Figure 1a", "Figure 1b"))


def sees_its_own_bars(calibration: Calibration, model: str) -> bool:
    """Whether a change of what came from a model's own bars changes what is said of it when it is left out."""

    def modelled(given: Calibration) -> list[float]:
        return [row.modelled for row in fit.left_out(given) if row.model == model]

    changed = calibration
    for id in (f"derived.npu_slope_ms_per_token.{model}", f"derived.cpu_prefill_s.{model}"):
        number = changed.numbers[id]
        doubled = tuple(2 * n for n in number) if isinstance(number, tuple) else 2 * number
        changed = changed.with_number(id, doubled)
    for system in SYSTEMS:
        id = f"fig5.{model}.{system}"
        changed = changed.with_number(id, tuple(2 * y for y in changed.points(id)[1]))
    return modelled(changed) != modelled(calibration)


@pytest.mark.parametrize("model", MODELS)
def test_a_model_left_out_is_not_seen(calibration: Calibration, model: str) -> None:
    assert not sees_its_own_bars(calibration, model)


@pytest.mark.parametrize("kept", ["derived.npu_slope_ms_per_token.", "derived.cpu_prefill_s."])
def test_the_check_of_unseen_models_catches_a_leak(
    calibration: Calibration, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leaks(given: Calibration, model: str) -> Calibration:
        honest = {"derived.npu_slope_ms_per_token.", "derived.cpu_prefill_s."} - {kept}
        return given.without(prefix + model for prefix in honest)

    monkeypatch.setattr(fit, "unseen", leaks)
    assert all(sees_its_own_bars(calibration, model) for model in MODELS)


def test_the_report_is_the_same_every_time(calibration: Calibration, rows: list[Row]) -> None:
    assert fit.report(calibration) == rows


def test_tolerances_alone_explain_most_bars_but_not_nearly_all(calibration: Calibration) -> None:
    covered = fit.coverage(calibration, draws=40, seed=1)
    assert set(covered) == set(SYSTEMS)
    for system in NPU_SYSTEMS:
        assert 0.4 < covered[system] < 0.95


def test_scatter_is_the_spread_of_the_errors(rows: list[Row]) -> None:
    some = ttft(rows, "left out", "FlexServe")
    assert mean_error(some) * 0.9 < scatter(some) < 2 * mean_error(some)
