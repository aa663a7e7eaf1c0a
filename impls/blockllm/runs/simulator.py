"""What the cases about the simulator run: a scenario from its first event to its last, and its costs beside others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from remeasure.impls.common.memory import peak_mb

from ..sim.cost.costs import Costs
from ..sim.cost.vidur import products, transfers
from ..sim.simulate import prepare
from ..sim.speed import bare_pops_per_s
from ..sim.tenants import Population
from .cluster import machines, trace_of

if TYPE_CHECKING:
    from ..questions import Checked, Timed


def timed(config: Timed, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What is returned prepares and simulates the scenario once; CPU seconds, pops a second, MB it took."""
    cell = config.cell
    if config.requests:
        cell = replace(cell, minutes=config.requests / cell.load / 60)
    trace = trace_of(cell, data, seed)
    tenants = Population(trace.apps, pe=cell.pe, full=cell.full).draw(seed)
    costs, cluster = Costs(cell.stack, cell.band), machines(cell)

    def run() -> dict[str, object]:
        pops: list[int] = []

        def simulate() -> None:
            engine = prepare(cell.serving, cluster, tenants, trace, costs, seed)
            engine.run()
            pops.append(engine.pops)

        start = time.process_time()
        grown = peak_mb(simulate)
        seconds = time.process_time() - start
        rate = pops[0] / seconds
        return {
            "CPU": seconds,
            "CPU a request": 1e3 * seconds / len(trace),
            "heap pops/s": rate,
            "share of a bare heap": 100 * rate / _bare(),
            "memory grown": grown,
            "extras": {"heap pops": pops[0], "requests": len(trace), "bare heap pops/s": _bare()},
        }

    return run


@cache
def _bare() -> float:
    """Of this process, as the limit of what a simulator on a heap could do."""
    return bare_pops_per_s()


def checked(config: Checked, data: Any) -> Callable[[], dict[str, object]]:
    """What is returned compares our times with the tables', size by size; the stack matters to operators only."""

    def run() -> dict[str, object]:
        rows = transfers(data) if config.what == "transfers" else products(Costs(config.stack), data)
        if config.what != "transfers":
            rows = [row for row in rows if (row.what == "layer") == (config.what == "layer")]
        curves = [row.what for row in rows]
        table = [[row.what, row.size, row.ours_ms, row.theirs_ms] for row in rows]
        found: dict[str, object] = {
            "absolute difference": [100 * abs(row.relative) for row in rows],
            "units": [f"{row.what}, {row.size}" for row in rows],
            "extras": {"what, size, ours ms, theirs ms": table},
        }
        # Sizes of one product or link are points of one curve, and off together; a layer has no other curve beside it.
        return found | ({"clusters": curves} if len(set(curves)) > 1 else {})

    return run
