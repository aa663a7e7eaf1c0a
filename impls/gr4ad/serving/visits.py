"""Who asks when: visits of users who ask once or several times, which is what a result cache lives from (§5)."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

import numpy as np

from remeasure.errors import UserError


@dataclass(frozen=True)
class Visits:
    """Every visit is another user's: among very many users none comes back by chance within minutes."""

    count: int
    """Visits."""
    again: float
    """Share of requests after which the visit asks once more, at least 0 and below 1."""
    gap: float
    """Mean s between two requests of a visit, above 0; gaps are exponential."""

    def __post_init__(self) -> None:
        if not (self.count > 0 and 0 <= self.again < 1 and self.gap > 0):
            raise UserError(
                f"{self.count} visits, again {self.again}, gap {self.gap} s: give at least one visit, a share below 1 "
                "and a gap above 0."
            )

    def requests(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Times float64 [n], s, ascending, and whose visit each request belongs to, int64 [n].

        About one visit a second begins; a cache does not care, since visits share nothing.
        """
        asked = rng.geometric(1 - self.again, self.count)
        visit = np.repeat(np.arange(self.count), asked)
        gaps = rng.exponential(self.gap, len(visit))
        gaps[np.cumsum(asked) - asked] = 0  # a visit's first request is when it begins
        run = np.cumsum(gaps)
        begin = np.sort(rng.uniform(0, self.count, self.count))
        time = begin[visit] + run - run[np.cumsum(asked) - asked][visit]
        order = np.argsort(time, kind="stable")
        return time[order], visit[order]

    def hit_share(self, ttl: float) -> float:
        """The expected share of requests that a cache with this time to live answers.

        After an answer is put there, the visit's requests within `ttl` hit: H = p / (1 − p) · (1 − e^(−(1 − p) ttl /
        gap)) of them, p the share that asks again, since a visit is without memory. Each put has H hits: H / (1 + H).
        """
        stops = 1 - self.again
        hits = self.again / stops * (1 - exp(-stops * ttl / self.gap))
        return hits / (1 + hits)
