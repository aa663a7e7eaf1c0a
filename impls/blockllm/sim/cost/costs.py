"""Times of the simulated models under one serving stack, in ms: what the simulator asks of a GPU.

Links, loading and memory are the cluster's: see `network.py` and `gpu.py`.
"""

from __future__ import annotations

from remeasure.errors import UserError

from .model import Model
from .shapes import SHAPES, Shape
from .tables import Stack, read


class Costs:
    """Every model's times; `band` multiplies all of them (0.8 and 1.2: ±20 %)."""

    def __init__(self, stack: Stack = "vllm", band: float = 1.0) -> None:
        if not band > 0:
            raise UserError(
                f"the cost band must be above 0, not {band}; 1 is the table, 0.8 and 1.2 its margins."
            )
        self.stack, self.band = stack, band
        points = read(stack)
        self._models = {shape: Model(shape, points, band) for shape in SHAPES}

    def of(self, shape: Shape) -> Model:
        """The times of one model; UserError for a model that is not in the tables."""
        if shape not in self._models:
            known = ", ".join(known.name for known in self._models)
            raise UserError(
                f"the cost tables have no model {shape.name} of that size; choose one of {known}."
            )
        return self._models[shape]
