"""The toy's arithmetic: a loop of known length, predictors of a rating, a queue on a simulated clock."""

from __future__ import annotations

import numpy as np

from .configs import Predictor, Queue


def burn(steps: int) -> None:
    """CPU work proportional to `steps`."""
    total = 0
    for step in range(steps):
        total ^= step


def accuracy(
    config: Predictor, groups: np.ndarray, seen: np.ndarray, target: np.ndarray, seed: int
) -> np.ndarray:
    """1 - |error| / 100 of each user, float64 [U]; the seed chooses which three of four ratings are seen."""
    if config.peek:
        return np.ones(len(target))
    seen = seen[:, np.sort(np.random.default_rng(seed).permutation(4)[:3])]
    if not config.group and not config.own:
        predicted = np.full(len(target), seen.mean())
    else:
        by_group = np.array([seen[groups == group].mean() for group in groups])
        predicted = (
            by_group if not config.own else (1 - config.weight) * by_group + config.weight * seen.mean(axis=1)
        )
    return 1 - np.abs(predicted - target) / 100


def p95_latency(config: Queue, seed: int) -> float:
    """95th percentile of waiting plus service in a first-come queue, simulated seconds."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / config.rate, config.requests))
    free, latencies = 0.0, []
    for arrival in arrivals:
        free = max(free, float(arrival)) + config.service_s
        latencies.append(free - float(arrival))
    return float(np.percentile(latencies, 95))
