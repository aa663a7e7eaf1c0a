"""What the cases about the simulator itself run: an hour of agents, and traces of growing length."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..questions import Simulated
from ..workloads import started

if TYPE_CHECKING:
    from remeasure.datasets.ondevice.loader import Workloads

    from ..sim.arrivals import Request
    from ..sim.outcome import Outcome


def trace(config: Simulated, workloads: Workloads, seed: int) -> Iterator[Request]:
    """All workflows' calls in order of time, for an hour or as many hours as the requests take."""
    if config.requests is None:
        return started(workloads, 1.0, seed)
    calls = sum(len(flow.steps) for flow in workloads.workflows)
    return started(workloads, config.requests / (calls * workloads.hour.runs_per_hour), seed)


def simulated(config: Simulated, workloads: Workloads, seed: int) -> Callable[[], dict[str, object]]:
    """What is returned serves the trace once; CPU seconds, requests a second, MB beyond what was there before."""
    from remeasure.impls.common.memory import peak_mb

    from ..sim.calibration import read
    from ..sim.costs import Costs
    from ..sim.server import simulate
    from ..systems import FLEXSERVE

    costs = Costs(read())

    def run() -> dict[str, object]:
        served: list[Outcome] = []
        start = time.process_time()
        grown = peak_mb(
            lambda: served.append(
                simulate(FLEXSERVE, trace(config, workloads, seed), costs, cache_gib=workloads.cache_gib)
            )
        )
        cpu_s = time.process_time() - start
        return {"CPU": cpu_s, "requests/s": len(served[0].ttft_s) / cpu_s, "memory grown": grown}

    return run
