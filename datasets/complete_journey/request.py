"""What is asked of the Complete Journey. Importing this loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Request:
    """Which purchases, and how the simulator stands in."""

    histories: Literal["sample", "full"] = "sample"
    """sample: 75,000 lines drawn one by one, of which no baskets are left; full: all lines, from the PyPI package."""
    households: int = 600
    """Households of the simulated shop."""
    products: int = 1500
    """Products of the simulated shop."""
    seed: int = 0
    """Seed of the simulated shop."""
