"""Quality, simulations and shares whose truth is known: judged units × training seeds, seeds alone, successes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from .coverage_cells import AT_LEAST, Cell, Hits, Rng, covered, intervals
from .estimates import Array, crossed_parts, of_seeds, of_unit_ratio, of_units, share_bounds
from .intervals import Interval

UNITS = (200, 3000)
SEEDS = (3, 5, 10)
SEED_SDS = (0.0, 0.004, 0.008, 0.016)
"""Of training, by how much one seed's mean difference differs from another's."""
DIFFERENCE = 0.01
"""The true mean difference."""
RATIO = 1.1
LIVE = 0.5
"""Units that are not 0 with every seed."""
UNIT_SD, NOISE_SD = 0.2, 0.1
"""Of all units together: what units differ by, and what a unit with one seed is off by beyond both."""
NDCG = np.concatenate([np.zeros(10), 1 / np.log2(np.arange(2, 12))])
"""Of one relevant item among 20 ranks."""
STEPS = np.subtract.outer(NDCG, NDCG).ravel()
STEPS *= UNIT_SD / LIVE**0.5 / STEPS.std()
"""Differences of two of them, of which a unit has one."""
CLUSTERS = {200: 36, 3000: 545}
"""About so many small units → clusters of 1 to 10."""
CLUSTER_SD = 0.15
BY_SIZE = 0.01
"""Where large clusters do better: by so much for each unit more."""
CLUSTER_SIZES = np.arange(1, 11)
MANY_SEEDS = (3, 5, 10, 20)
SIGMAS = (0.1, 0.3)
SHARES = (0.5, 0.8, 0.95, 0.99)
OF = (20, 200)

Estimate = Callable[[Array], list[Interval]]


def differences(
    rng: Rng, shape: tuple[int, int, int, int], seed_sd: float, mean: float = 0.0, live: float = LIVE
) -> Array:
    """Paired differences, [draws, arms, units, seeds]; of every arm the same units are not 0, a share of `live`."""
    draws, arms, units, seeds = shape
    there = rng.random((draws, 1, units)) < live
    steps = STEPS[rng.integers(len(STEPS), size=(draws, arms, units))] * (LIVE / live) ** 0.5 + mean / live
    # Units last while they are made: so they lie in memory, and sums over seeds are of whole rows.
    values = rng.standard_normal((draws, arms, seeds, units), dtype=np.float32) * (NOISE_SD / live**0.5)
    values = values + rng.standard_normal((draws, arms, seeds, 1)) * (seed_sd / live) + steps[:, :, None]
    values *= there[:, :, None]
    return np.swapaxes(values, -1, -2)


def crossed(values: Array) -> list[Interval]:
    """As `estimates.of_units`, of [draws, units, seeds]."""
    units, seeds = values.shape[-2:]
    by_seeds, by_units = crossed_parts(values)
    parts = [(by_units, units - 1), *([(by_seeds, seeds - 1)] if seeds > 1 else [])]
    return intervals(values.mean(axis=(-2, -1)), parts)


def quality(
    units: int, seeds: int, seed_sd: float, estimate: Estimate = crossed, live: float = LIVE
) -> Callable[[Rng, int], Hits]:
    def hits(rng: Rng, draws: int) -> Hits:
        values = differences(rng, (draws, 1, units, seeds), seed_sd, DIFFERENCE, live)[:, 0]
        return covered(estimate(values), DIFFERENCE)

    return hits


def clustered(clusters: int, seeds: int, seed_sd: float, by_size: float) -> Callable[[Rng, int], Hits]:
    """Small units in clusters whose sizes are drawn too; a cluster's units have much in common."""
    # The mean over units weights a cluster by its size.
    truth = DIFFERENCE + by_size * CLUSTER_SIZES.var() / CLUSTER_SIZES.mean()

    def one(rng: Rng) -> Interval:
        sizes = rng.choice(CLUSTER_SIZES, clusters)
        labels = np.repeat(np.arange(clusters), sizes)
        values = differences(rng, (1, 1, len(labels), seeds), seed_sd, DIFFERENCE)[0, 0]
        common = rng.standard_normal(clusters) * CLUSTER_SD + by_size * (sizes - CLUSTER_SIZES.mean())
        return of_units(values + common[labels, None], labels)

    return lambda rng, draws: covered((one(rng) for _ in range(draws)), truth)


def ratios(units: int, seeds: int, seed_sd: float) -> Callable[[Rng, int], Hits]:
    """Two arms' values of the same units, whose means have the ratio `RATIO`."""

    def one(base: Array, off: Array) -> Interval:
        return of_unit_ratio(RATIO * base + off[0], base + off[1])

    def hits(rng: Rng, draws: int) -> Hits:
        base = NDCG[rng.integers(len(NDCG), size=(draws, units, 1))]
        off = differences(rng, (draws, 2, units, seeds), seed_sd / 2**0.5) / 2**0.5
        return covered(map(one, base, off), RATIO)

    return hits


def seeds_of(rng: Rng, shape: tuple[int, int], sigma: float) -> Array:
    """Log-normal, around a median of 1."""
    values: Array = np.exp(sigma * rng.standard_normal(shape))
    return values


def simulated(seeds: int, sigma: float, logs: bool) -> Callable[[Rng, int], Hits]:
    """One value a seed, log-normal; logs: ratios of two arms, of which the geometric mean counts."""
    truth = 1.0 if logs else float(np.exp(sigma**2 / 2))

    def hits(rng: Rng, draws: int) -> Hits:
        values = seeds_of(rng, (draws, seeds), sigma)
        return covered((of_seeds(of_one, logs=logs) for of_one in values), truth)

    return hits


def share(true: float, units: int) -> Callable[[Rng, int], Hits]:
    def hits(rng: Rng, draws: int) -> Hits:
        lo, hi = share_bounds(rng.binomial(units, true, draws), units)
        inside: Hits = (lo <= true) & (true <= hi)
        return inside

    return hits


def cells() -> Iterator[Cell]:
    for units in UNITS:
        for seeds in SEEDS:
            for sd in SEED_SDS:
                name = f"{units} units × {seeds} seeds, seed sd {sd:g}"
                yield Cell("quality", name, units * seeds, quality(units, seeds, sd))
    for units, clusters in CLUSTERS.items():
        for seeds in SEEDS[:2]:
            for by_size, what in ((0.0, ""), (BY_SIZE, ", large ones do better")):
                name = (
                    f"about {units} units in {clusters} clusters of 1–10 × {seeds} seeds, seed sd 0.008{what}"
                )
                hits = clustered(clusters, seeds, 0.008, by_size)
                yield Cell("quality in clusters", name, units * seeds, hits)
    for units in UNITS:
        for seeds in SEEDS[:2]:
            for sd in SEED_SDS:
                name = f"{units} units × {seeds} seeds, seed sd {sd:g}"
                yield Cell("ratios of means", name, 2 * units * seeds, ratios(units, seeds, sd))
    for logs, what in ((False, "mean"), (True, "geometric mean of ratios")):
        for sigma in SIGMAS:
            for seeds in MANY_SEEDS:
                name = f"{seeds} seeds, log-normal with σ {sigma:g}, {what}"
                yield Cell("simulations", name, seeds, simulated(seeds, sigma, logs))
    for of in OF:
        for true in SHARES:
            yield Cell("shares", f"{true:g} of {of} units", 1, share(true, of), AT_LEAST)


def limits() -> Iterator[Cell]:
    """So few units differ at all that a sample may hold none of them."""
    for live in (0.05, 0.02):
        name = f"200 units × 3 seeds, seed sd 0.008, {100 * live:g} % of the units are not 0"
        yield Cell("known limits", name, 600, quality(200, 3, 0.008, live=live), None)
