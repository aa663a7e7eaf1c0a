"""The logging policy: random candidates, ranked by their true eCPM with Gumbel noise, the first few shown.

Ranking by a log score plus Gumbel noise of scale s draws without replacement in proportion to score^(1/s), the law of
Plackett and Luce, so the probability of every slate is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .world import BLOCK, World


@dataclass(frozen=True, eq=False)
class Slates:
    """What was shown in Q requests."""

    candidates: np.ndarray
    """int32 [Q, C], ads, each once."""
    shown: np.ndarray
    """int32 [Q, S], ads of the candidates, first place first."""
    log_propensity: np.ndarray
    """float64 [Q, S], log probability of each place given candidates and places before; the sum is the slate's."""


def show(world: World, users: np.ndarray, rng: np.random.Generator) -> Slates:
    """Slates for requests of users int64 [Q], in the order of the requests."""
    laws = world.constants
    size = min(laws.candidates, len(world.live))
    parts = []
    # Whole pieces of a size that does not depend on memory, so that the same requests get the same draws.
    for some in np.array_split(users, max(1, -(-len(users) * size // BLOCK))):
        candidates = distinct(len(world.live), len(some), size, rng)
        utility = np.log(_ecpm(world, some, candidates)) / laws.logging_noise
        parts.append((candidates, *draw_slates(utility, laws.slate, rng)))
    places, slates, log_propensity = (np.concatenate(part) for part in zip(*parts, strict=True))
    candidates = world.live[places]
    return Slates(
        candidates.astype(np.int32),
        np.take_along_axis(candidates, slates, axis=1).astype(np.int32),
        log_propensity,
    )


def draw_slates(utility: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Slates int64 [Q, size] of places among candidates with utilities float64 [Q, C], and their log propensities."""
    noisy = utility + rng.gumbel(size=utility.shape)
    top = np.argpartition(-noisy, size - 1, axis=1)[:, :size]
    order = np.argsort(-np.take_along_axis(noisy, top, axis=1), axis=1, kind="stable")
    slates = np.take_along_axis(top, order, axis=1)
    return slates, log_propensities(utility, slates)


def log_propensities(utility: np.ndarray, slates: np.ndarray) -> np.ndarray:
    """float64 [Q, S], log probability of every place of slates int64 [Q, S], given the places before.

    The k-th is u_k - log Σ exp(u) over all candidates that do not stand before it.
    """
    chosen = np.take_along_axis(utility, slates, axis=1)
    rest = utility.copy()
    np.put_along_axis(rest, slates, -np.inf, axis=1)
    highest = utility.max(axis=1)
    with np.errstate(divide="ignore"):  # nothing is left where all candidates are shown
        left = np.log(np.exp(rest - highest[:, None]).sum(axis=1)) + highest
    found = np.empty_like(chosen)
    for place in range(slates.shape[1] - 1, -1, -1):
        left = np.logaddexp(left, chosen[:, place])
        found[:, place] = chosen[:, place] - left
    return found


def distinct(count: int, rows: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """int64 [rows, size], numbers below `count`, each once in a row; every set is equally likely.

    What repeats a number of its row is drawn again until nothing does. No number is treated unlike another, so no set
    is likelier than another; the order within a row means nothing.
    """
    if 2 * size > count:
        return np.argsort(rng.random((rows, count)), axis=1)[:, :size]
    drawn = np.sort(rng.integers(count, size=(rows, size)), axis=1)
    pending = np.arange(rows)
    while True:
        again = np.diff(drawn[pending], axis=1, prepend=-1) == 0
        wrong = again.any(axis=1)
        if not wrong.any():
            return drawn
        pending, again = pending[wrong], again[wrong]
        some = drawn[pending]
        some[again] = rng.integers(count, size=int(again.sum()))
        drawn[pending] = np.sort(some, axis=1)


def _ecpm(world: World, users: np.ndarray, places: np.ndarray) -> np.ndarray:
    """True eCPM float64 [Q, C] of live ads by their places; per user all ads at once, as far as users repeat."""
    known, whose = np.unique(users, return_inverse=True)
    found = np.empty(places.shape)
    for some in np.array_split(np.arange(len(known)), max(1, len(known) * len(world.live) // BLOCK)):
        rows = (
            np.flatnonzero((whose >= some[0]) & (whose <= some[-1])) if len(some) else np.zeros(0, np.int64)
        )
        ecpm = world.ecpm_of_live(known[some])
        found[rows] = ecpm[(whose[rows] - (some[0] if len(some) else 0))[:, None], places[rows]]
    return found
