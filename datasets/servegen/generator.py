"""Simulated clients: few make most of the load, gaps vary more than Poisson's, answers are short.

Rates fall by a power of the rank, so that five clients of twenty make three quarters of the load as in the published
window; everything else is drawn and belongs to no client that exists.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gamma

import numpy as np

from .clients import Client, Family, Pmf

TOTAL_RPS = 720.0
"""Load of all simulated clients, as of the published twenty."""
DECAY = 1.35
"""Power of the rank by which rates fall."""


def simulate(ids: Sequence[int], with_lengths: frozenset[int], seed: int) -> tuple[Client, ...]:
    """A client an id; those in `with_lengths` have distributions of tokens."""
    rng = np.random.default_rng(seed)
    rates = np.arange(1, len(ids) + 1) ** -DECAY
    rates = rng.permutation(rates * TOTAL_RPS / rates.sum())
    clients = []
    for id_, rate in zip(ids, rates.tolist(), strict=True):
        family: Family = "Gamma" if rng.random() < 0.6 else "Weibull"
        shape = float(rng.uniform(0.12, 1.0) if family == "Gamma" else rng.uniform(0.45, 1.0))
        unit_mean = shape if family == "Gamma" else gamma(1 + 1 / shape)
        square = 1 / shape if family == "Gamma" else gamma(1 + 2 / shape) / unit_mean**2 - 1
        prompts, outputs = _pmf(rng, rng.uniform(3.0, 7.0)), _pmf(rng, rng.uniform(0.5, 4.0))
        known = id_ in with_lengths
        clients.append(
            Client(
                id_, rate, square**0.5, family, shape, 1 / (rate * unit_mean),
                prompts if known else None, outputs if known else None,
            )
        )  # fmt: skip
    return tuple(clients)


def _pmf(rng: np.random.Generator, log_median: float) -> Pmf:
    """Frequencies of 2,000 lognormal draws."""
    draws = np.maximum(np.rint(rng.lognormal(log_median, 0.5, 2000)), 1).astype(np.int64)
    tokens, counts = np.unique(draws, return_counts=True)
    return Pmf(tokens, counts / counts.sum())
