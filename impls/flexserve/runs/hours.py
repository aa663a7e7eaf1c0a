"""An hour of all agents on one device under changing memory pressure, under FlexServe and with its parts taken away.

A sample is one draw of the device inside its tolerances and of when agents are started; all systems see the same draws.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..questions import Hour
from ..sim.costs import GIB, Costs
from ..sim.server import simulate
from ..workloads import pressure, started
from .device import calibrations

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Workloads

    from ..sim.outcome import Outcome

SECONDS = 60 * 60
AFTER = 4 * SECONDS
"""Pressure goes on until the last requests, which slow systems serve late, have ended."""


def served(config: Hour, workloads: Workloads, seed: int) -> dict[str, object]:
    """What requests and applications saw, float64 [draws] a metric."""
    found = _outcomes(config, workloads, seed)
    return {
        "TTFT, p50": np.array([np.quantile(outcome.ttft_s, 0.50) for outcome in found]),
        "TTFT, p95": np.array([np.quantile(outcome.ttft_s, 0.95) for outcome in found]),
        "response latency, mean": np.array([outcome.response_s.mean() for outcome in found]),
        "weights found in memory": np.array([100 * _hits(outcome) for outcome in found]),
        "stage-2 tables on": np.array([100 * outcome.stage2_residency for outcome in found]),
        "memory missed by applications": np.array([_missed_gib(outcome, workloads) for outcome in found]),
    }


def reclaimed(config: Hour, workloads: Workloads, seed: int) -> dict[str, object]:
    """Milliseconds that applications waited for memory they asked back, float64 [draws] a quantile."""
    waited = [1e3 * outcome.reclaim_s for outcome in _outcomes(config, workloads, seed)]
    # An hour in which nobody waited has waited for nothing.
    seen = [ms if len(ms) else np.zeros(1) for ms in waited]
    return {
        f"reclaim, p{percent}": np.array([np.quantile(ms, percent / 100) for ms in seen])
        for percent in (50, 99)
    }


def _hits(outcome: Outcome) -> float:
    """Share of the weights that requests needed which were in memory already."""
    hits = float(outcome.hit_bytes.sum())
    return hits / (hits + float(outcome.restored_bytes.sum()))


def _missed_gib(outcome: Outcome, workloads: Workloads) -> float:
    """Mean over time of what applications wanted and did not have."""
    held = pressure(workloads.hour, AFTER)
    ends = [*held.changes_s[1:], AFTER]
    wanted = sum(
        level * max(0.0, min(end, outcome.duration_s) - start)
        for start, end, level in zip(held.changes_s, ends, held.levels_gb, strict=True)
    )
    had = outcome.mean_bytes["app_anon"] + outcome.mean_bytes["app_cache"]
    return wanted / outcome.duration_s - had / GIB


def _outcomes(config: Hour, workloads: Workloads, seed: int) -> list[Outcome]:
    held = pressure(workloads.hour, AFTER)
    return [
        simulate(
            config.system,
            started(workloads, 1.0, seed + draw),
            Costs(calibration),
            cache_gib=workloads.hour.cache_gib,
            background=held,
            seed=seed,
        )
        for draw, calibration in enumerate(calibrations(config.draws, seed))
    ]
