"""What users do with what they are shown: clicks, conversions, and the eCPM that is written down."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .world import World


@dataclass(frozen=True, eq=False)
class Chance:
    """Draws that decide Q requests of S places. Two policies that get the same draws differ only by their lists."""

    click: np.ndarray
    """float64 [Q, S], uniform."""
    conversion: np.ndarray
    """float64 [Q, S], uniform."""
    noise: np.ndarray
    """float64 [Q, S], standard normal."""

    def select(self, requests: np.ndarray | slice) -> Chance:
        """Those of some requests."""
        return Chance(self.click[requests], self.conversion[requests], self.noise[requests])


@dataclass(frozen=True, eq=False)
class Feedback:
    """What came of Q slates of S places."""

    clicked: np.ndarray
    """bool [Q, S], with probability pCTR; a place has no influence."""
    converted: np.ndarray
    """bool [Q, S], with probability pCVR where clicked."""
    ecpm: np.ndarray
    """float64 [Q, S], as it is logged: the true one with noise, right on average."""


def chance(requests: int, places: int, rng: np.random.Generator) -> Chance:
    """The draws for so many requests."""
    shape = (requests, places)
    return Chance(rng.random(shape), rng.random(shape), rng.standard_normal(shape))


def respond(world: World, users: np.ndarray, slates: np.ndarray, draws: Chance) -> Feedback:
    """What users int64 [Q] do with slates int [Q, S]; at places of -1 nothing happens and 0 is written down."""
    spread = world.constants.ecpm_noise
    there = slates >= 0
    pctr = world.pctr(users, slates)
    true = pctr * world.worth(slates) * world.user_value[users][:, None]
    clicked = there & (draws.click[:, : slates.shape[1]] < pctr)
    converted = clicked & (draws.conversion[:, : slates.shape[1]] < world.pcvr[slates])
    noise = np.exp(spread * draws.noise[:, : slates.shape[1]] - spread**2 / 2)
    return Feedback(clicked, converted, np.where(there, true * noise, 0.0))
