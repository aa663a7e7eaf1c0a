"""Which world is asked for. Importing this loads nothing else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A world and the log that was kept in it."""

    ads: int = 3_000
    """Ads on offer; 300, 3,000 and 20,000 are studied."""
    accounts: int = 0
    """Advertisers; 0: one for every 20 ads."""
    users: int = 5_000
    """Users; four of five are judged, the others are for choosing configurations."""
    requests: int = 60
    """Requests of each user in the log."""
    seed: int = 0
    """Seed of the world and of its log; 0, 1 and 2 are shown, and constants are chosen on seeds from 100 on."""
