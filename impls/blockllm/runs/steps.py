"""What the cases about single policies run: a dispatcher's decisions in the middle of a scenario, and one placement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from ..sim.cost.costs import Costs
from ..sim.demand import load
from ..sim.placement import place
from ..sim.simulate import prepare
from ..sim.tenants import Population
from .cluster import machines, trace_of

if TYPE_CHECKING:
    from ..questions import Cell, Dispatched, Placed
    from ..sim.engine import Engine


def dispatched(config: Dispatched, seed: int) -> Callable[[], None]:
    """What is returned decides the paths of the scenario's requests anew, beside queues as they are at half time."""
    cell = config.cell
    engine = _engine(replace(cell, serving=replace(cell.serving, kv=config.kv)), seed)
    engine.run(until_s=30 * cell.minutes)
    route, requests = engine.dispatcher.route, len(engine.world.at)

    def run() -> None:
        for number in range(config.decisions):
            route(number % requests)

    return run


def placed(config: Placed, seed: int) -> Callable[[], None]:
    """What is returned searches the same placement at every call."""
    cell = config.cell
    world = _engine(replace(cell, serving=replace(cell.serving, swaps=0)), seed).world
    work = load(world.serving, world.content, [pool.steps for pool in world.pools], world.expected)
    serving = replace(cell.serving, swaps=config.swaps)

    def run() -> None:
        place(serving, world.content, work, world.cluster, seed)

    return run


def _engine(cell: Cell, seed: int) -> Engine:
    """A synthetic scenario before its first event."""
    trace = trace_of(cell, None, seed)
    tenants = Population(trace.apps, pe=cell.pe, full=cell.full).draw(seed)
    return prepare(cell.serving, machines(cell), tenants, trace, _costs(), seed)


@lru_cache(maxsize=1)
def _costs() -> Costs:
    return Costs()
