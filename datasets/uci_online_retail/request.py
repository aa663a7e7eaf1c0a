"""What is asked of Online Retail. Importing this loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """How the simulator stands in; the real invoices have no choices."""

    customers: int = 1200
    """Customers of the simulated shop."""
    products: int = 900
    """Products of the simulated shop."""
    seed: int = 0
    """Seed of the simulated shop."""
