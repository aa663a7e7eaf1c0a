"""What the case of storage computes: exact bytes of a population's models, without a simulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..sim.catalogue import catalogue
from ..sim.systems import SYSTEMS
from ..sim.tenants import Population

if TYPE_CHECKING:
    from ..questions import Weighed

GB = 1e9


def weighed(config: Weighed, seed: int) -> Callable[[], dict[str, object]]:
    """What is returned adds up the weights of everything that the system keeps one copy of, deltas with them."""
    population = Population(config.apps, pe=config.pe, full=config.full)

    def run() -> dict[str, object]:
        tenants = population.draw(seed)
        total = catalogue(SYSTEMS[config.system], tenants, seed).weight_bytes
        separate = catalogue(SYSTEMS["pm"], tenants, seed).weight_bytes
        return {"storage": total / GB, "of separate models": 100 * total / separate}

    return run
