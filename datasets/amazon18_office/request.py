"""What is asked of the data set. Importing this loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """How the simulator stands in; a folder has the rows that it has."""

    users: int = 800
    """Users of the simulated shop."""
    products: int = 500
    """Products of the simulated shop."""
    seed: int = 0
    """Seed of the simulated shop."""
