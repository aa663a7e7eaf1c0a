"""A cell of the coverage simulation: data sets whose truth is known, and what is counted of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .coverage_table import What
from .estimates import Array
from .intervals import Interval, Part, of_parts

Hits = npt.NDArray[np.bool_]
Rng = np.random.Generator

COVERS = (0.93, 0.985)
"""What a 95 % interval has to cover."""
AT_LEAST = (0.93, 1.0)
"""Of shares, which are conservative by construction."""
SELDOM = (0.0, 0.035)
"""How often a word may be given whose truth lies just where it would begin to be right."""


@dataclass(frozen=True)
class Cell:
    """Data sets of one kind."""

    group: str
    name: str
    size: int
    """Values that one data set is made of: so many data sets fit into memory, and so long they take."""
    hits: Callable[[Rng, int], Hits]
    """Draw so many data sets; of each, whether it is what is counted."""
    required: tuple[float, float] | None = COVERS
    what: What = "coverage"


def intervals(centres: Array, parts: Sequence[tuple[Array, int]], *, logs: bool = False) -> list[Interval]:
    """Of each data set the interval that it would be given. parts: variances of all data sets, degrees of freedom."""
    variances, dfs = zip(*parts, strict=True)
    n = dfs[0] + 1
    return [
        of_parts(float(centre), tuple(map(Part, map(float, of_one), dfs)), n, logs=logs)
        for centre, *of_one in zip(centres, *variances, strict=True)
    ]


def covered(found: Iterable[Interval], truth: float) -> Hits:
    return np.array([interval.lo <= truth <= interval.hi for interval in found])
