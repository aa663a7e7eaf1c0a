"""Estimates with 95 % intervals from samples: ratios of paired rounds, means over users, percentiles.

Always 95 %, always seeded: the same samples give the same interval. Paired means: sample i of one arm and
sample i of the other stand for the same round, user or query.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]
Values = Sequence[float] | Array
Better = Literal["lower", "higher"]

CONFIDENCE = 0.95
TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
SEED = 2022
RATIO_RESAMPLES = 2_000
MEAN_RESAMPLES = 10_000
FEW_DISTINCT = 64
"""Up to so many distinct values, a resample is drawn as how often each of them occurs."""
CACHED_UNITS = 10_000
"""Up to so many units (100 MB) the resamples are kept: many arms are judged on the same users."""
ROWS = 250
"""Resamples drawn at a time."""


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    estimate: float
    lo: float
    hi: float
    n: int
    """Samples, or pairs of them, behind it; a single one has no width and so says nothing of noise."""

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, (self.estimate, self.lo, self.hi)))


def ratio_interval(treatment: Values, baseline: Values, better: Better, seed: int = SEED) -> Interval:
    """Ratio of paired positive samples, oriented so that > 1 favours the treatment: exp(median log ratio)."""
    return geometric_mean_interval([(treatment, baseline)], better, seed)


def geometric_mean_interval(
    pairs: Sequence[tuple[Values, Values]], better: Better, seed: int = SEED
) -> Interval:
    """Geometric mean over cases of their ratios of paired samples; each case's rounds are resampled apart.

    pairs: (treatment, baseline) of each case. Raises ValueError for unpaired samples and those not above 0.
    """
    logs = [_log_ratios(treatment, baseline, better) for treatment, baseline in pairs]

    def total(*cases: Array, axis: int = -1) -> Any:
        return np.mean([np.median(case, axis=axis) for case in cases], axis=0)

    estimate = float(total(*logs))
    # scipy refuses a single sample; twice the same one resamples to itself: an interval without width.
    resampled = stats.bootstrap(
        [np.repeat(case, 2) if case.size == 1 else case for case in logs],
        total,
        n_resamples=RATIO_RESAMPLES,
        method="percentile",
        confidence_level=CONFIDENCE,
        rng=np.random.default_rng(seed),
    ).confidence_interval
    lo, hi = float(resampled.low), float(resampled.high)
    return _interval(math.exp(estimate), math.exp(lo), math.exp(hi), sum(case.size for case in logs))


def mean_difference_interval(differences: Values, seed: int = SEED) -> Interval:
    """Mean of paired differences, one per user: percentile bootstrap over users, 10,000 resamples."""
    array = _array(differences)
    distinct, counts = np.unique(array, return_counts=True)
    if distinct.size > FEW_DISTINCT:
        return mean_interval(array, seed)
    # How often each distinct value occurs in a resample is multinomial: the same law, far less to draw.
    drawn = np.random.default_rng(seed).multinomial(array.size, counts / array.size, size=MEAN_RESAMPLES)
    return _percentiles(float(array.mean()), drawn @ distinct / array.size, array.size)


def mean_interval(values: Values, seed: int = SEED) -> Interval:
    """Mean over users (queries, seeds): percentile bootstrap, 10,000 resamples."""
    return mean_intervals([values], seed)[0]


def mean_intervals(columns: Sequence[Values], seed: int = SEED) -> list[Interval]:
    """`mean_interval` of several arms over the same users, all on the same resamples of these users."""
    table = np.column_stack([_array(column) for column in columns])
    resampled = _resampled_means(table, seed)
    means = table.mean(axis=0)
    return [_percentiles(float(means[i]), resampled[:, i], len(table)) for i in range(table.shape[1])]


def mean_ratio_interval(treatment: Values, baseline: Values, better: Better, seed: int = SEED) -> Interval:
    """Ratio of means over the same users, oriented so that > 1 favours the treatment; users are resampled.

    For values with zeros (NDCG), where a ratio of each user's values has no meaning.
    """
    over, under = (treatment, baseline) if better == "higher" else (baseline, treatment)
    table = np.column_stack([_array(over), _array(under)])
    resampled = _resampled_means(table, seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = table.mean(axis=0)
        return _percentiles(float(means[0] / means[1]), resampled[:, 0] / resampled[:, 1], len(table))


def percentile_interval(values: Values, p: float = 0.5) -> Interval:
    """The p-quantile with binomial bounds, which assume no distribution; with few samples, their range."""
    array = np.sort(_array(values))
    estimate = float(np.quantile(array, p))
    test: Any = stats.quantile_test(array, q=estimate, p=p)
    bounds = test.confidence_interval(CONFIDENCE)
    lo = float(bounds.low) if np.isfinite(bounds.low) else float(array[0])
    hi = float(bounds.high) if np.isfinite(bounds.high) else float(array[-1])
    return _interval(estimate, lo, hi, array.size)


def draws_interval(draws: Values) -> Interval:
    """Median and middle 95 % of a model's results over draws of its uncertain inputs.

    The draws are the uncertainty itself, not a sample to be averaged: more of them make no narrower interval.
    """
    array = _array(draws)
    lo, hi = np.quantile(array, TAILS)
    return _interval(float(np.median(array)), float(lo), float(hi), array.size)


def spread(per_seed: Values) -> float:
    """The seed range: largest less smallest."""
    return float(np.ptp(_array(per_seed)))


def _log_ratios(treatment: Values, baseline: Values, better: Better) -> Array:
    ours, theirs = _array(treatment), _array(baseline)
    if ours.size != theirs.size:
        raise ValueError(f"{ours.size} and {theirs.size} samples cannot be paired")
    if (ours <= 0).any() or (theirs <= 0).any():
        raise ValueError("a ratio of rounds needs positive samples")
    logs: Array = np.log(ours) - np.log(theirs)
    return logs if better == "higher" else -logs


def _array(values: Values) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError("an interval needs a non-empty list of numbers")
    return array


def _resampled_means(table: Array, seed: int) -> Array:
    """Means of every column over resampled rows: (rows, columns) → (resamples, columns)."""
    centre = table.mean(axis=0)
    scale = np.abs(table - centre).max(axis=0)
    scale[scale == 0] = 1.0
    # Deviations of order one keep seven digits in single precision, which is twice as fast and far finer than
    # the error of resampling.
    deviations = ((table - centre) / scale).astype(np.float32)
    blocks = [counts.astype(np.float32) @ deviations for counts in _resamples(len(table), seed)]
    means = centre + scale * np.concatenate(blocks) / len(table)
    # Rounding must not take a mean out of its samples: a share would have a negative bound.
    within: Array = np.clip(means, table.min(axis=0), table.max(axis=0))
    return within


def _resamples(n: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    return iter(_kept(n, seed)) if n <= CACHED_UNITS else _drawn(n, seed)


@lru_cache(maxsize=2)
def _kept(n: int, seed: int) -> tuple[npt.NDArray[np.uint8], ...]:
    return tuple(_drawn(n, seed))


def _drawn(n: int, seed: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Resamples of n units as how often each was drawn, ROWS resamples at a time.

    A byte holds a count: with n < 256 it cannot be larger, with more it would need odds below 1e-500.
    """
    rng = np.random.default_rng([seed, n])
    for start in range(0, MEAN_RESAMPLES, ROWS):
        rows = min(ROWS, MEAN_RESAMPLES - start)
        drawn = rng.integers(0, n, size=(rows, n)) + n * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.uint8)


def _percentiles(estimate: float, resampled: Array, n: int) -> Interval:
    lo, hi = np.quantile(resampled, TAILS)
    return _interval(estimate, float(lo), float(hi), n)


def _interval(estimate: float, lo: float, hi: float, n: int) -> Interval:
    # Rounding can put the end of an interval without width past its estimate.
    return Interval(estimate, min(lo, estimate), max(hi, estimate), n)
