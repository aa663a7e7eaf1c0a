"""The estimators, one for each kind of number; docs/statistics.md says why these, and how often they cover.

The functions that end in `_parts` take many data sets at once, along leading axes, and give what the estimate of each
is made of; `coverage.py` runs them on thousands of data sets whose truth is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from .intervals import Interval, Part, alone, of_parts
from .judged import CONFIDENCE

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.intp]


# --- times: the independent unit is the process


def of_processes(rounds: Sequence[Array]) -> Interval:
    """Of logarithms (of times, or of ratios of times), an array a process: t over the processes' medians."""
    medians = np.array([np.median(of_one) for of_one in rounds])
    if len(medians) < 2:
        return alone(float(np.exp(medians[0])), 1)
    centre, variance = mean_parts(medians)
    every = np.concatenate(rounds)
    independent = float(every.var(ddof=1)) / every.size
    return of_parts(
        float(centre),
        (Part(float(variance), len(medians) - 1),),
        len(medians),
        logs=True,
        design_effect=float(variance) / independent if independent else None,
    )


# --- simulations: one value a seed


def of_seeds(values: Array, *, logs: bool = False) -> Interval:
    """One value a seed: t over seeds, on logarithms where the values are ratios."""
    values = np.log(values) if logs else values
    centre, variance = mean_parts(values)
    if len(values) < 2:
        return alone(float(np.exp(centre) if logs else centre), 1)
    return of_parts(float(centre), (Part(float(variance), len(values) - 1),), len(values), logs=logs)


def mean_parts(values: Array) -> tuple[Array, Array]:
    """Along the last axis: the mean, and its variance (0 for a single value)."""
    n = values.shape[-1]
    variance = values.var(axis=-1, ddof=1) / n if n > 1 else np.zeros(values.shape[:-1])
    return values.mean(axis=-1), variance


# --- quality: units × training seeds


def of_units(values: Array, clusters: Labels | None = None, *, fixed: bool = False) -> Interval:
    """Mean over units and seeds. values: [units, seeds]; with one seed t over the units alone.

    clusters: the larger unit each unit lies in, [units], 0 to so many. fixed: the units are the whole population, so
    that only seeds are random.
    """
    mean = float(values.mean())
    if fixed:
        return of_seeds(values.mean(axis=0)) if values.shape[1] > 1 else alone(mean, len(values))
    return _crossed(mean, values - mean, clusters)


def of_unit_ratio(over: Array, under: Array, clusters: Labels | None = None) -> Interval:
    """Ratio of means over the same units and seeds, [units, seeds] each, by linearised residuals."""
    ratio = float(over.mean() / under.mean())
    return _crossed(ratio, (over - ratio * under) / under.mean(), clusters)


def _crossed(centre: float, residuals: Array, clusters: Labels | None) -> Interval:
    small = residuals.size
    independent = float(residuals.var(ddof=1)) / small if small > 1 else 0.0
    residuals = residuals if clusters is None else summed(residuals, clusters)
    units, seeds = residuals.shape
    if units < 2:
        return alone(centre, units)
    of_seed, of_unit = crossed_parts(residuals)
    parts = (Part(float(of_unit), units - 1), *([Part(float(of_seed), seeds - 1)] if seeds > 1 else []))
    total = sum(part.variance for part in parts)
    return of_parts(centre, parts, units, design_effect=total / independent if independent else None)


def crossed_parts(values: Array) -> tuple[Array, Array]:
    """Of [..., units, seeds]: the variance of the mean by seeds and by units; by seeds 0 where there is one.

    Mean squares of a two-way layout: what seeds add beyond the residual, and what units differ by.
    """
    units, seeds = values.shape[-2:]
    by_unit, by_seed = values.mean(axis=-1), values.mean(axis=-2)
    ms_unit = seeds * by_unit.var(axis=-1, ddof=1)
    if seeds == 1:
        return np.zeros(values.shape[:-2]), ms_unit / units
    ms_seed = units * by_seed.var(axis=-1, ddof=1)
    # Sums of squares about the grand mean; what neither units nor seeds explain is the residual.
    total = values.var(axis=(-2, -1)) * units * seeds
    residual = total - (units - 1) * ms_unit - (seeds - 1) * ms_seed
    ms_residual = np.maximum(residual, 0) / ((units - 1) * (seeds - 1))
    return np.maximum(ms_seed - ms_residual, 0) / (units * seeds), ms_unit / (units * seeds)


def summed(residuals: Array, clusters: Labels) -> Array:
    """[..., units, seeds] → [..., clusters, seeds]: sums, scaled so that their mean stays the mean over units."""
    order = np.argsort(clusters, kind="stable")
    starts = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    sums = np.add.reduceat(residuals[..., order, :], starts, axis=-2)
    scaled: Array = sums * (len(starts) / residuals.shape[-2])
    return scaled


# --- shares, draws, plain values


def of_share(successes: int, n: int, top: float = 1.0) -> Interval:
    """Clopper–Pearson; at least 95 %, conservative by construction. top: 100 where shares are said in percent."""
    lo, hi = share_bounds(np.array(successes), n)
    return Interval(top * successes / n, top * float(lo), top * float(hi), n, "interval", trials=n, top=top)


def share_bounds(successes: npt.NDArray[np.int64], n: int) -> tuple[Array, Array]:
    tail = (1 - CONFIDENCE) / 2
    lo = np.where(successes == 0, 0.0, stats.beta.ppf(tail, successes, n - successes + 1))
    hi = np.where(successes == n, 1.0, stats.beta.ppf(1 - tail, successes + 1, n - successes))
    return lo, hi


def of_draws(draws: Array) -> Interval:
    """Median and middle 95 % of a model's results over draws of its uncertain inputs: a range, no interval.

    The draws are the uncertainty itself, not a sample to be averaged: more of them make no narrower range.
    """
    lo, hi = np.quantile(draws, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return Interval(float(np.median(draws)), float(lo), float(hi), draws.size, "range")
