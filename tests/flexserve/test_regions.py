"""Regions: sweeps agree with single points, crossings lie where the level is met, joint draws repeat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.flexserve.runs.regions import (
    BASELINES,
    GRIDS,
    TREATMENT,
    UNITS,
    Axis,
    at,
    crossings,
    flash_gb_per_s,
    joint_survival,
    mean_speedup,
    roots,
    speedups,
    sweep,
)
from remeasure.impls.flexserve.sim.calibration import read
from remeasure.impls.flexserve.sim.timeline import prefill

NOMINAL = read()
AXES: tuple[Axis, ...] = ("flash", "npu", "decrypt", "background")
UNCHANGED: dict[Axis, float] = {
    "flash": flash_gb_per_s(NOMINAL),
    "npu": 1.0,
    "decrypt": 1.0,
    "background": 8.0,
}


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", BASELINES)
def test_every_axis_passes_through_the_calibrated_device(axis: Axis, name: str) -> None:
    here = mean_speedup(BASELINES[name], NOMINAL, at(axis, UNCHANGED[axis], NOMINAL))
    assert here == pytest.approx(mean_speedup(BASELINES[name], NOMINAL), rel=1e-9)


def test_every_axis_has_a_grid_and_a_unit() -> None:
    assert set(GRIDS) == set(UNITS) == set(AXES)
    assert all(list(grid) == sorted(grid) for grid in GRIDS.values())


def test_a_system_is_not_faster_than_itself() -> None:
    assert set(speedups(TREATMENT, NOMINAL).values()) == {1.0}


def test_speedup_is_baseline_over_treatment() -> None:
    assert mean_speedup(BASELINES["Strawman"], NOMINAL) > mean_speedup(BASELINES["Strawman-OPT"], NOMINAL) > 1


def test_arithmetic_mean_is_not_below_the_geometric() -> None:
    for baseline in BASELINES.values():
        points = zip(
            sweep("npu", baseline, NOMINAL), sweep("npu", baseline, NOMINAL, "geometric"), strict=True
        )
        assert all(a.speedup >= g.speedup for a, g in points)


def test_a_faster_npu_widens_the_gap_to_serial_allocation() -> None:
    points = [point.speedup for point in sweep("npu", BASELINES["Strawman-OPT"], NOMINAL)]
    assert points == sorted(points)


@pytest.mark.parametrize("level", [1.2, 1.4, 1.7])
def test_speedup_at_a_crossing_is_the_level(level: float) -> None:
    baseline = BASELINES["Strawman-OPT"]
    found = crossings("background", baseline, NOMINAL, level)
    assert found
    for x in found:
        assert mean_speedup(baseline, NOMINAL, at("background", x, NOMINAL)) == pytest.approx(level, abs=2e-3)


def test_a_level_out_of_reach_is_not_crossed() -> None:
    assert crossings("background", BASELINES["Strawman-OPT"], NOMINAL, 100.0) == []


@settings(max_examples=50, deadline=None)
@given(zeros=st.lists(st.integers(0, 9), min_size=0, max_size=4, unique=True))
def test_roots_finds_every_change_of_sign(zeros: list[int]) -> None:
    """One simple zero inside each chosen cell of the grid."""
    places = [zero + 0.37 for zero in zeros]

    def product(x: float) -> float:
        return float(np.prod([x - place for place in places]))

    found = roots(product, tuple(float(x) for x in range(11)))
    assert found == pytest.approx(sorted(places), abs=1e-2)


def test_a_zero_on_the_grid_is_found_once() -> None:
    assert roots(lambda x: x - 2, (1.0, 2.0, 3.0)) == [2.0]


def test_same_seed_gives_the_same_survival() -> None:
    one, other, another = (joint_survival(NOMINAL, 5, seed) for seed in (1, 1, 2))
    assert one.cells == other.cells and np.array_equal(one.speedups, other.speedups)
    assert not np.array_equal(one.speedups, another.speedups)


def test_survival_against_itself_is_never_certain() -> None:
    """Not faster than itself in any draw; with an error of its own, in some of them."""
    alone = joint_survival(NOMINAL, 20, 1, TREATMENT)
    assert alone.mean == alone.every_cell == 0 and set(alone.cells.values()) == {0.0}
    uncertain = joint_survival(NOMINAL, 20, 1, TREATMENT, own_error=0.1)
    assert 0 < uncertain.mean < 1


def test_survival_counts_agree() -> None:
    result = joint_survival(NOMINAL, 20, 3, BASELINES["tzllm_like"], own_error=0.05)
    assert result.every_cell <= min(result.cells.values()) <= max(result.cells.values()) <= 1
    assert result.mean == np.mean(result.speedups > 1)
    assert len(result.cells) == 16


def test_a_baseline_that_has_no_crypto_is_harder_to_beat() -> None:
    """A mutant baseline must change the outcome, or nothing was compared."""
    baseline = BASELINES["tzllm_like"]
    spared = replace(baseline, crypto="inline")
    assert mean_speedup(spared, NOMINAL) < mean_speedup(baseline, NOMINAL)


def test_cells_are_those_of_the_timeline() -> None:
    from remeasure.impls.flexserve.sim.costs import Costs

    costs, baseline = Costs(NOMINAL), BASELINES["Strawman-OPT"]
    slow, fast = (prefill(system, "Llama3.2-3B", 256, costs).ttft_s for system in (baseline, TREATMENT))
    assert speedups(baseline, NOMINAL)["Llama3.2-3B", 256] == slow / fast
