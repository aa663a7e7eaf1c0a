"""TABS, traffic-aware beam search (§5): beams are wider while there is capacity to spare.

The paper says B_t = B_base · f(Q_t, C_avail) and not what f is; here it is the spare capacity, C_avail / Q_t, from 1 to
a limit. So at peak nothing changes, and off-peak beams grow by 60 % unless told otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from remeasure.errors import UserError


@dataclass(frozen=True)
class TABS:
    """How widths follow the traffic."""

    capacity: float
    """C_avail, requests/s that the machine serves at the base widths with its tail as wanted: less than it can at most,
    since beams are widened until their work is as much as that of this many requests."""
    max_scale: float = 1.6
    """The largest f, at least 1."""
    ewma: float = 0.3
    """Weight of the newest window in the mean rate Q_t, above 0 and at most 1."""

    def __post_init__(self) -> None:
        rules = (
            ("capacity", self.capacity > 0, "a rate above 0"),
            ("max_scale", self.max_scale >= 1, "at least 1"),
            ("ewma", 0 < self.ewma <= 1, "more than 0 and at most 1"),
        )
        for name, right, wanted in rules:
            if not right:
                raise UserError(f"{name} is {getattr(self, name)}; give {wanted}.")

    def smoothed(self, mean: float | None, rate: float) -> float:
        """Q_t after one more window's rate, requests/s; the first window's rate is its own mean."""
        return rate if mean is None else mean + self.ewma * (rate - mean)

    def factors(self, rates: np.ndarray) -> np.ndarray:
        """f of every window, float64 [windows], from the rates of the windows before it; 1 for the first one."""
        factors = np.ones(len(rates))
        mean = None
        for window, rate in enumerate(rates[:-1].tolist(), start=1):
            mean = self.smoothed(mean, rate)
            factors[window] = self.factor(mean)
        return factors

    def factor(self, mean: float) -> float:
        """f = C_avail / Q_t, not below 1 and not above `max_scale`."""
        return min(max(self.capacity / mean, 1.0), self.max_scale) if mean > 0 else self.max_scale
