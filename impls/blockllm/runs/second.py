"""What the case about the second simulator runs: the same trace twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..on_simpy import both
from ..questions import Cell
from ..sim.cost.costs import Costs
from ..sim.cost.shapes import Shape
from ..sim.interfaces import Times
from ..sim.tenants import Population
from .cluster import machines, trace_of

if TYPE_CHECKING:
    from ..questions import Compared

SAME_S = 1e-10
"""Both add the same terms, in another order."""
ENDLESS_BYTES = 1e15
"""Memory of a GPU: what happens when it is full only one of the simulators knows."""


@dataclass(frozen=True, eq=False)
class Straight:
    """The tables' times with attention over cached tokens as one straight line: between the simulators nothing is left
    to interpolate."""

    times: Any
    slope_ms: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.times, name)

    def decode_attention_ms(self, batch: int, total_context: float) -> float:
        """A layer's attention over all cached tokens, whatever the batch."""
        return self.slope_ms * total_context


class StraightCosts:
    """A cost model of such times."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs

    @lru_cache(maxsize=4)  # noqa: B019  (as long as the model)
    def of(self, shape: Shape, /) -> Times:
        times = self.costs.of(shape)
        return Straight(times, times.decode_attention_ms(32, 32_768) / 32_768)


def compared(config: Compared, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What is returned serves the trace by both simulators and compares every request's last token."""
    cell = Cell(config.serving, load=2.0, minutes=config.minutes)
    trace = trace_of(cell, data, seed)
    tenants = Population(trace.apps, pe=cell.pe, full=cell.full).draw(seed)
    costs = StraightCosts(Costs(cell.stack, cell.band))
    cluster = replace(machines(cell), gpu_bytes=ENDLESS_BYTES)

    def run() -> dict[str, object]:
        ours, theirs = both(config.serving, cluster, tenants, trace, costs, seed)
        apart = np.abs(np.array(ours[1]) - np.array(theirs[1]))
        return {
            "requests that end at the same moment": 100 * float((apart <= SAME_S).mean()),
            "largest difference of completion": 1e9 * float(apart.max()),
            "extras": {"requests": len(trace)},
        }

    return run
