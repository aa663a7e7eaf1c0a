"""Random draws that workloads are made of: who asks, how many tokens, when (spec §5.4); all of them vectorised."""

from __future__ import annotations

from math import gamma, log, sqrt

import numpy as np
import numpy.typing as npt

from remeasure.datasets.servegen.clients import Family, Pmf
from remeasure.errors import UserError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def zipf(apps: int, alpha: float) -> FloatArray:
    """Shares float64 [apps] in proportion to 1 / rank^alpha; alpha 0 is all alike."""
    if not alpha >= 0:
        raise UserError(f"alpha is {alpha:g}; the apps' skew must be 0 or more.")
    weights = np.arange(1, apps + 1, dtype=np.float64) ** -alpha
    return np.asarray(weights / weights.sum())


def pick(rng: np.random.Generator, shares: FloatArray, n: int) -> IntArray:
    """`n` independent draws of a place in `shares`, int64 [n]."""
    edges = np.cumsum(shares)
    # The last edge may miss 1 by rounding; what falls beyond it belongs to the last place.
    return np.minimum(np.searchsorted(edges, rng.random(n), side="right"), len(shares) - 1).astype(np.int64)


def sample(rng: np.random.Generator, pmf: Pmf, n: int) -> IntArray:
    """`n` independent draws of tokens, int64 [n]."""
    return np.asarray(pmf.tokens[pick(rng, pmf.probability, n)])


def lognormal(rng: np.random.Generator, median: float, mean: float, n: int) -> IntArray:
    """`n` whole numbers of at least 1, int64 [n], lognormal before rounding."""
    return np.maximum(np.rint(rng.lognormal(log(median), sqrt(2 * log(mean / median)), n)), 1).astype(
        np.int64
    )


def renewals(
    rng: np.random.Generator, family: Family, shape: float, rate_rps: float, seconds: float
) -> FloatArray:
    """Arrival times in [0, seconds), float64 [n], of a renewal process that has run for ever.

    The time to the first arrival is a random part of a gap drawn by its length, so that the expected number is
    exactly rate × seconds also where gaps vary much; a process that starts with an arrival would have (CV² - 1) / 2
    too many.
    """
    if family == "Gamma":
        mean, biased = shape, rng.gamma(shape + 1)
    else:
        mean, biased = gamma(1 + 1 / shape), rng.gamma(1 + 1 / shape) ** (1 / shape)
    unit_s = 1 / (rate_rps * mean)
    times = np.array([rng.random() * biased * unit_s])
    while times[-1] < seconds:
        more = int((seconds - times[-1]) * rate_rps * 1.1) + 16
        gaps = rng.gamma(shape, size=more) if family == "Gamma" else rng.weibull(shape, size=more)
        times = np.concatenate([times, times[-1] + np.cumsum(gaps) * unit_s])
    return times[times < seconds]
