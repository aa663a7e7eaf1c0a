"""What the modelled device's cases run: every cell of the figures over draws of what is uncertain, and ratios of them.

A draw takes calibration, assumptions and prompt lengths anew inside their tolerances and ranges; all systems of a draw
share it, so ratios are paired. The draws of a block are made once and read by all of its arms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import hypot
from typing import TYPE_CHECKING, Any

import numpy as np

from ..questions import (
    COLD,
    EXPERIMENTS,
    HEADLINE,
    TTFTS,
    Comparison,
    Fit,
    Grid,
    Modelled,
    Region,
    Step,
    Survival,
)
from ..systems import FLEXSERVE, STRAWMAN_OPT, cold

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Workloads

    from ..figures import Setting
    from ..sim.calibration import Calibration
    from ..sim.costs import Costs


@dataclass(frozen=True, eq=False)
class Table:
    """Cells of the figures: seconds float64 [draws] by (figure, subject, arm, x)."""

    cells: dict[tuple[int, str, str, str], np.ndarray]

    def of(self, figure: int, arm: str) -> np.ndarray:
        """float64 [cells, draws] of one system in one figure, in the figure's order."""
        rows = [
            values for (number, _, name, _), values in self.cells.items() if (number, name) == (figure, arm)
        ]
        return np.array(rows)


@lru_cache(maxsize=1)
def _settings(workloads: Workloads, draws: int, seed: int) -> tuple[Setting, ...]:
    from ..figures import drawn, nominal

    rng = np.random.default_rng(seed)
    first = nominal(workloads)
    return tuple(drawn(first, rng) for _ in range(draws))


@lru_cache(maxsize=1)
def table(workloads: Workloads, draws: int, seed: int) -> Table:
    """Every predicted cell and the cold grid of Figure 5, for all draws."""
    from ..figures import predicted

    found: dict[tuple[int, str, str, str], list[float]] = {}
    for setting in _settings(workloads, draws, seed):
        for cell, value in predicted(setting):
            found.setdefault((cell.figure, cell.subject, cell.arm, cell.x), []).append(value)
        for key, value in _cold_grid(setting):
            found.setdefault(key, []).append(value)
    return Table({key: np.array(values) for key, values in found.items()})


def speedups(config: Comparison, workloads: Workloads, seed: int) -> dict[str, object]:
    """Mean, geometric mean, largest and smallest speedup over the cells, float64 [draws] each."""
    cells = table(workloads, config.draws, seed)

    def ratios(experiment: str) -> np.ndarray:
        figure = EXPERIMENTS[experiment]
        found: np.ndarray = cells.of(figure, config.baseline) / cells.of(figure, config.treatment)
        return found

    parts = {"headline": HEADLINE, "TTFT only": TTFTS}.get(config.experiment, (config.experiment,))
    found = [ratios(part) for part in parts]
    every = np.concatenate(found)
    mean = np.mean([part.mean(axis=0) for part in found], axis=0)
    return {
        "mean speedup": mean if config.experiment == "headline" else every.mean(axis=0),
        "geometric mean speedup": np.exp(np.log(every).mean(axis=0)),
        "largest speedup": every.max(axis=0),
        "smallest speedup": every.min(axis=0),
    }


def cut(config: Step, workloads: Workloads, seed: int) -> dict[str, object]:
    """Percent of the TTFT before the step that it saves, mean over models, float64 [draws]."""
    cells = table(workloads, config.draws, seed)
    figure = EXPERIMENTS["ablation"]
    saved = 1 - cells.of(figure, config.name) / cells.of(figure, config.before)
    return {"TTFT cut": 100 * saved.mean(axis=0)}


def kept(config: Modelled, workloads: Workloads, seed: int) -> dict[str, object]:
    """Percent of an application's speed that is left beside inference, mean of four, and their TTFT's, [draws]."""
    from ..sim.apps import NAMES

    cells = table(workloads, config.draws, seed).cells
    left = np.array([cells[10, name, config.what, ""] for name in NAMES])
    return {
        "performance kept": 100 * left.mean(axis=0),
        "sysbench kept": 100 * left[NAMES.index("sysbench")],
        "TTFT's speed kept": 100 * cells[10, "TTFT", config.what, ""],
    }


def decoding(config: Modelled, workloads: Workloads, seed: int) -> dict[str, object]:
    """Seconds a token, geometric mean over models, float64 [draws]."""
    from ..figures import decoding as rated

    seconds = [
        [setting.costs.decode_s(model, COLD[config.what]) for model in sorted(rated(setting.costs))]
        for setting in _settings(workloads, config.draws, seed)
    ]
    return {"TPOT": np.exp(np.log(seconds).mean(axis=1))}


def operation(config: Modelled, workloads: Workloads, seed: int) -> dict[str, object]:
    """Milliseconds of an operation of Table 1, float64 [draws]."""
    from dataclasses import replace

    flex, region = cold(FLEXSERVE), STRAWMAN_OPT
    waits = replace(flex, async_reclaim=False)
    eight, small = 8.0, 1 / 8  # GiB
    seconds: dict[str, Callable[[Costs], float]] = {
        "allocate 8 GB, Flex-Mem": lambda c: c.alloc_s(flex, eight),
        "allocate 8 GB, CMA": lambda c: c.alloc_s(region, eight),
        "reclaim 8 GB, Flex-Mem": lambda c: c.reclaim_s(flex, eight),
        "reclaim 8 GB, CMA": lambda c: c.reclaim_s(region, eight),
        "reclaim 128 MB, two-stage, asynchronous": lambda c: c.reclaim_s(flex, small),
        "reclaim 128 MB, two-stage": lambda c: c.reclaim_s(waits, small),
        "reclaim 128 MB, neither": lambda c: c.reclaim_s(replace(waits, two_stage=False), small, small),
        "switch protection on": lambda c: c.protect_s(replace(flex, on_demand=True)),
    }
    take = seconds[config.what]
    return {"time": np.array([1e3 * take(s.costs) for s in _settings(workloads, config.draws, seed)])}


def released(config: Modelled, workloads: Workloads, seed: int) -> dict[str, object]:
    """Cold TTFT of the optimized strawman, 8B and 128 tokens, whose region was released or is still there, [draws]."""
    from ..figures import PROMPT
    from ..sim.facts import ANCHOR
    from ..sim.timeline import prefill

    region_kept = config.what.endswith("kept")

    def ttft_s(setting: Setting) -> float:
        found = prefill(STRAWMAN_OPT, ANCHOR, PROMPT, setting.costs)
        return found.ttft_s - (found.busy["alloc"] if region_kept else 0.0)

    return {"TTFT": np.array([ttft_s(setting) for setting in _settings(workloads, config.draws, seed)])}


def misfit(config: Fit, workloads: Workloads, seed: int) -> dict[str, object]:
    """Percent by which each bar of Figure 5 is missed, float64 [bars]; one number, no draws."""
    from ..sim.calibration import read
    from ..sim.fit import left_out
    from ..sim.yardsticks import size_law_told, size_rule

    found = {"model": left_out, "size": size_rule, "told": size_law_told}[config.by](read())
    rows = [row for row in found if row.system == config.system]
    return {
        "absolute error": [100 * abs(row.relative) for row in rows],
        "units": [f"{row.model}, {row.x:g} tokens" for row in rows],
        # All bars of a model are told by the same other models, so they are missed together.
        "clusters": [row.model for row in rows],
    }


def region(config: Region, workloads: Workloads, seed: int) -> dict[str, object]:
    """Mean speedup over the cells of Figure 5 at the place, float64 [draws]."""
    from .regions import at, mean_speedup

    baseline = COLD[config.baseline]
    return {
        "mean speedup": [
            mean_speedup(baseline, drawn, at(config.axis, config.x, drawn))
            for drawn in calibrations(config.draws, seed)
        ]
    }


def cold_start(config: Grid, workloads: Workloads, seed: int) -> dict[str, object]:
    """Geometric mean of cold TTFTs over the cells of Figure 5, s, float64 [draws]."""
    from .regions import cold_ttft_s

    return {"TTFT": [cold_ttft_s(config.system, drawn) for drawn in calibrations(config.draws, seed)]}


def survival(config: Survival, workloads: Workloads, seed: int) -> dict[str, object]:
    """Percent of the joint draws in which FlexServe is faster than the TZ-LLM-like system: on average, everywhere."""
    from ..sim.calibration import read
    from ..sim.fit import left_out
    from ..sim.rows import scatter
    from .regions import joint_survival

    calibration = read()
    found = joint_survival(calibration, config.draws, seed)
    # Each system's TTFT is wrong by as much as that of a model it has not seen, independently of the other's.
    own_error = hypot(
        *(
            scatter(row for row in left_out(calibration) if row.system == name)
            for name in ("FlexServe", "Strawman-OPT")
        )
    )
    doubted = joint_survival(calibration, config.draws, seed, own_error=own_error)
    return {
        "faster on average": 100 * found.mean,
        "faster in every cell": 100 * found.every_cell,
        "faster on average, with the model's own error": 100 * doubted.mean,
    }


@lru_cache(maxsize=1)
def calibrations(draws: int, seed: int) -> tuple[Calibration, ...]:
    """Draws of the device inside its tolerances."""
    from ..sim.calibration import read

    first, rng = read(), np.random.default_rng(seed)
    return tuple(first.drawn(rng) for _ in range(draws))


def _cold_grid(setting: Setting) -> Any:
    from ..figures import calibrated
    from ..sim.timeline import prefill

    for model in sorted(calibrated(setting.costs)):
        for tokens in setting.data.prompt_grid:
            for name, system in COLD.items():
                yield (5, model, name, str(tokens)), prefill(system, model, tokens, setting.costs).ttft_s
