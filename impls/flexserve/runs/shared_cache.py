"""Two models share a cache that holds neither of them whole (the setting of June §7.4, Fig 8): which layers to keep?

A sample is one draw of the device inside its tolerances; all systems see the same draws and the same requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..questions import Shared
from ..sim.assumptions import read as read_assumptions
from ..sim.costs import Costs
from ..sim.server import simulate
from ..workloads import dispatched
from .device import calibrations

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Workloads


def served(config: Shared, workloads: Workloads, seed: int) -> dict[str, object]:
    """Mean TTFT over all requests of all streams, s, and share of weights found in memory, %, float64 [draws]."""
    pause_s = read_assumptions().value("several-models.pause_s")
    means, hits = [], []
    for calibration in calibrations(config.draws, seed):
        found = [
            simulate(
                config.system,
                dispatched(stream, pause_s),
                Costs(calibration),
                cache_gib=workloads.cache_gib,
                seed=seed,
            )
            for stream in workloads.streams
        ]
        means.append(np.concatenate([outcome.ttft_s for outcome in found]).mean())
        held = sum(float(outcome.hit_bytes.sum()) for outcome in found)
        restored = sum(float(outcome.restored_bytes.sum()) for outcome in found)
        hits.append(100 * held / (held + restored))
    return {"TTFT, mean": np.array(means), "weights found in memory": np.array(hits)}
