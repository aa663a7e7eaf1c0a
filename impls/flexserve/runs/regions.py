"""Where the cold-start claims hold: speedups over sweeps of the device, where they break, and joint draws.

A speedup is a mean over the cells of June's Figure 5 (four models, four prompts): baseline's TTFT over FlexServe's,
both without anything cached. Flash speeds are those of public parts: eMMC 5.1 reads 0.25 GB/s, UFS 3.1 2.1, UFS 4.0 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.optimize import brentq

from ..config import System
from ..sim.calibration import Calibration
from ..sim.costs import GIB, Costs, Device
from ..sim.facts import BACKGROUND_GB
from ..sim.laws import prompt_lengths
from ..sim.rows import MODELS
from ..sim.timeline import prefill
from ..systems import FLEXSERVE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

Axis = Literal["flash", "npu", "decrypt", "background"]
Mean = Literal["arithmetic", "geometric"]
TREATMENT = cold(FLEXSERVE)
BASELINES = {"Strawman": STRAWMAN, "Strawman-OPT": STRAWMAN_OPT, "tzllm_like": TZLLM_LIKE}
GRIDS: dict[Axis, tuple[float, ...]] = {
    "flash": (0.25, 0.5, 1.0, 2.1, 2.63, 4.0),
    "npu": (0.5, 1.0, 2.0, 4.0),
    "decrypt": (0.25, 0.5, 1.0, 2.0, 4.0),
    "background": tuple(float(gb) for gb in range(11)),
}
UNITS: dict[Axis, str] = {
    "flash": "GB/s",
    "npu": "times the NPU's speed",
    "decrypt": "times the decryption rate",
    "background": "GB held by other applications",
}


@dataclass(frozen=True)
class Place:
    """A device and the memory that others hold on it, as far as it differs from the calibrated one."""

    device: Device = field(default_factory=Device)
    background_gb: float = BACKGROUND_GB.value


CALIBRATED = Place()


@dataclass(frozen=True)
class Point:
    """Mean speedup at one place of a sweep."""

    x: float
    speedup: float


@dataclass(frozen=True)
class Survival:
    """Shares of joint draws over all tolerances and assumptions in which FlexServe is faster than a baseline."""

    mean: float
    """Geometric mean over the cells above 1."""
    every_cell: float
    """Faster in all of them."""
    cells: dict[tuple[str, int], float]
    """(model, prompt tokens) → share of draws in which this cell is faster."""
    speedups: np.ndarray
    """float64 [draws]: geometric means."""


def at(axis: Axis, x: float, calibration: Calibration) -> Place:
    """The calibrated device with one thing changed; flash in GB/s, factors else."""
    if axis == "background":
        return Place(background_gb=x)
    if axis == "flash":
        return Place(Device(flash=x / flash_gb_per_s(calibration)))
    return Place(replace(Device(), **{axis: x}))


def flash_gb_per_s(calibration: Calibration) -> float:
    """Sequential read of the calibrated device."""
    return GIB / 1e9 / Costs(calibration).load_s_per_gib


def speedups(
    baseline: System, calibration: Calibration, place: Place = CALIBRATED
) -> dict[tuple[str, int], float]:
    """(model, prompt tokens) → baseline's cold TTFT over FlexServe's."""
    costs = Costs(calibration, place.device)

    def ttft(system: System, model: str, tokens: int) -> float:
        return prefill(system, model, tokens, costs, place.background_gb).ttft_s

    return {
        (model, int(tokens)): ttft(baseline, model, int(tokens)) / ttft(TREATMENT, model, int(tokens))
        for model in MODELS
        for tokens in prompt_lengths(calibration)
    }


def cold_ttft_s(system: System, calibration: Calibration) -> float:
    """Geometric mean of a system's cold TTFTs over the cells of Figure 5."""
    costs = Costs(calibration)
    seconds = [
        prefill(system, model, int(tokens), costs, BACKGROUND_GB.value).ttft_s
        for model in MODELS
        for tokens in prompt_lengths(calibration)
    ]
    return float(np.exp(np.log(seconds).mean()))


def mean_speedup(
    baseline: System, calibration: Calibration, place: Place = CALIBRATED, mean: Mean = "arithmetic"
) -> float:
    """Mean of the cells; the paper's means are arithmetic."""
    cells = np.array(list(speedups(baseline, calibration, place).values()))
    return float(cells.mean() if mean == "arithmetic" else np.exp(np.log(cells).mean()))


def sweep(
    axis: Axis,
    baseline: System,
    calibration: Calibration,
    mean: Mean = "arithmetic",
    grid: tuple[float, ...] | None = None,
) -> list[Point]:
    """Speedup at every point of an axis, its own grid if none is given."""
    return [
        Point(x, mean_speedup(baseline, calibration, at(axis, x, calibration), mean))
        for x in grid or GRIDS[axis]
    ]


def crossings(
    axis: Axis, baseline: System, calibration: Calibration, level: float, mean: Mean = "arithmetic"
) -> list[float]:
    """Where along the axis the speedup passes `level` (1: the sign breaks), to three digits, ascending.

    Found by bisection between neighbouring points of the grid, so that a curve which passes twice between two of them
    is not seen; empty: the claim holds, or fails, on the whole grid.
    """

    def above(x: float) -> float:
        return mean_speedup(baseline, calibration, at(axis, x, calibration), mean) - level

    return roots(above, GRIDS[axis])


def roots(above: Callable[[float], float], grid: tuple[float, ...]) -> list[float]:
    """Zeros of a continuous function between neighbouring points of a grid at which its sign differs."""
    values = [above(x) for x in grid]
    found = [x for x, value in zip(grid, values, strict=True) if value == 0]
    for (x0, y0), (x1, y1) in pairwise(zip(grid, values, strict=True)):
        if y0 * y1 < 0:
            found.append(float(brentq(above, x0, x1, rtol=1e-4)))
    return sorted(found)


def joint_survival(
    calibration: Calibration,
    n: int = 1000,
    seed: int = 2022,
    baseline: System = TZLLM_LIKE,
    own_error: float = 0.0,
) -> Survival:
    """How often FlexServe stays ahead cold when all tolerances and assumptions are drawn at once.

    `own_error`: standard deviation of the logarithm of one more factor a draw on all speedups, for what the model
    itself is wrong by; tolerances alone say nothing about the form of the model.
    """
    names: list[tuple[str, int]] = []
    rows = []
    for index in range(n):
        rng = np.random.default_rng([seed, index])
        cells = speedups(baseline, calibration.drawn(rng))
        factor = np.exp(own_error * rng.standard_normal())
        names = list(cells)
        rows.append([speedup * factor for speedup in cells.values()])
    table = np.array(rows)
    means = np.exp(np.log(table).mean(axis=1))
    return Survival(
        mean=float((means > 1).mean()),
        every_cell=float((table > 1).all(axis=1).mean()),
        cells=dict(zip(names, (table > 1).mean(axis=0).tolist(), strict=True)),
        speedups=means,
    )
