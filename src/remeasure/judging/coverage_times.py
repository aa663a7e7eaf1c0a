"""Times whose true ratio is known: rounds in processes, processes that differ, and when a run stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np

from ..running.blocks import LOOKS
from .coverage_cells import Cell, Hits, Rng, covered, intervals
from .estimates import Array, mean_parts
from .intervals import Interval
from .precision import half_width

TRUTH = 1.3
ROUNDS = 6
NOISE = 0.03
"""Of the logarithm of one round's ratio; an arm has its share of it."""
OFFSETS = (0.0, 0.02, 0.04, 0.08, 0.15)
"""Standard deviations between processes, of the logarithm of a ratio."""
PROCESSES = (5, 8, 12)
STOPPED = (*OFFSETS, 0.2)
"""Looking costs coverage most where a run may stop at any look: at about twice the width that is wanted."""
SPIKES, SPIKE = 0.05, (1.3, 2.0)
"""How many of an arm's rounds take longer, and how many times as long."""
AFTER = 0.8
"""Correlation of a round with the one before, where the machine drifts."""
WANTED = 0.10
"""Relative half-width at which a run stops."""
EACH = range(3, LOOKS[-1] + 1)
"""Processes at which nobody should look: after each one."""

Estimate = Callable[[Array], list[Interval]]


def normal(rng: Rng, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape) * NOISE / 2**0.5


def spiky(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Student's t at 3 degrees of freedom, and spikes."""
    spikes = (rng.random(shape) < SPIKES) * np.log(rng.uniform(*SPIKE, shape))
    logs: Array = rng.standard_t(3, shape) / 3**0.5 * NOISE / 2**0.5 + spikes
    return logs


def drifting(rng: Rng, shape: tuple[int, ...]) -> Array:
    """Along the last axis each round is like the one before; the first as far off as any."""
    logs = normal(rng, shape)
    for at in range(1, shape[-1]):
        logs[..., at] = AFTER * logs[..., at - 1] + (1 - AFTER**2) ** 0.5 * logs[..., at]
    return logs


NOISES: Mapping[str, Callable[[Rng, tuple[int, ...]], Array]] = {
    "log-normal": normal,
    "t at 3 df with 5 % spikes": spiky,
    "drift within a process": drifting,
}


def alike(sd: float, rng: Rng, shape: tuple[int, int]) -> Array:
    """Offsets of processes that do not know each other, [draws, processes]."""
    return sd * rng.standard_normal(shape)


def walking(sd: float, rng: Rng, shape: tuple[int, int]) -> Array:
    """Each process is off by a step more than the one before."""
    return np.cumsum(alike(sd, rng, shape), axis=1)


def following(sd: float, rng: Rng, shape: tuple[int, int]) -> Array:
    return drifting(rng, shape) * (sd / (NOISE / 2**0.5))


def two_modes(rng: Rng, shape: tuple[int, int]) -> Array:
    """0.08 slower in a fifth of the processes, else 0.08 faster; around their mean."""
    return np.where(rng.random(shape) < 0.2, 0.08, -0.08) + 0.08 * 0.6


def skewed(sd: float, rng: Rng, shape: tuple[int, int]) -> Array:
    """Few processes much slower, around their mean."""
    return sd * (rng.standard_exponential(shape) - 1)


def rounds_of_arms(rng: Rng, shape: tuple[int, int, int, int], sd: float, noise: str) -> Array:
    """Logarithms of times whose true ratios are 1, [draws, arms, processes, rounds]; sd: of a ratio's offsets."""
    logs = NOISES[noise](rng, shape)
    logs += rng.standard_normal((*shape[:-1], 1)) * sd / 2**0.5
    return logs


def by_processes(logs: Array) -> list[Interval]:
    """As `estimates.of_processes`, of [draws, processes, rounds]."""
    centres, variances = mean_parts(np.median(logs, axis=-1))
    return intervals(centres, [(variances, logs.shape[1] - 1)], logs=True)


def stopped(looks: Sequence[int], logs: Array) -> list[Interval]:
    """The interval at which a run stops that looks at so many processes; logs: [draws, processes, rounds]."""
    found = by_processes(logs[:, : looks[0]])
    for look in looks[1:]:
        open_ = [at for at, interval in enumerate(found) if half_width(interval) > WANTED]
        if not open_:
            break
        for at, interval in zip(open_, by_processes(logs[open_, :look]), strict=True):
            found[at] = interval
    return found


def times(
    processes: int,
    offsets: Callable[[Rng, tuple[int, int]], Array],
    noise: str,
    estimate: Estimate = by_processes,
) -> Callable[[Rng, int], Hits]:
    """Whether the interval covers the true ratio of two arms."""

    def hits(rng: Rng, draws: int) -> Hits:
        both = NOISES[noise](rng, (draws, 2, processes, ROUNDS))
        logs = both[:, 0] - both[:, 1] + offsets(rng, (draws, processes))[..., None] + np.log(TRUTH)
        return covered(estimate(logs), TRUTH)

    return hits


def cells() -> Iterator[Cell]:
    for processes in PROCESSES:
        for noise in NOISES:
            for sd in OFFSETS:
                name = f"{processes} processes × {ROUNDS} rounds, offsets {sd:g}, {noise}"
                yield Cell("times", name, size_of(processes), times(processes, partial(alike, sd), noise))
    most = LOOKS[-1]
    for noise in NOISES:
        for sd in STOPPED:
            name = f"looks at {', '.join(map(str, LOOKS))} processes, offsets {sd:g}, {noise}"
            hits = times(most, partial(alike, sd), noise, partial(stopped, LOOKS))
            yield Cell("times that stop when narrow", name, size_of(most), hits)


def limits() -> Iterator[Cell]:
    """What is not covered as it should be, and why one should not do it."""
    for sd in STOPPED:
        name = f"looks after every process from {EACH[0]} on, offsets {sd:g}"
        hits = times(EACH[-1], partial(alike, sd), "log-normal", partial(stopped, EACH))
        yield Cell("contrast: a look after each process", name, size_of(EACH[-1]), hits, None)
    offsets: dict[str, Callable[[Rng, tuple[int, int]], Array]] = {
        "each process a step of 0.02 from the one before": partial(walking, 0.02),
        "offsets 0.04, correlated 0.8 with the process before": partial(following, 0.04),
        "offsets ±0.08 in two modes, 1 : 4": two_modes,
        "offsets 0.08 to one side (exponential)": partial(skewed, 0.08),
    }
    for what, of in offsets.items():
        name = f"8 processes × {ROUNDS} rounds, {what}"
        yield Cell("known limits", name, size_of(8), times(8, of, "log-normal"), None)


def size_of(processes: int) -> int:
    return 2 * processes * ROUNDS
