"""What is asked of the auctions. Importing this loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """How the simulator stands in; the real log has no choices."""

    auctions: int = 20_000
    """Auctions of the simulated log."""
    seed: int = 0
    """Seed of the simulated log."""
