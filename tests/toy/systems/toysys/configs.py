"""The toy's configurations: plain data, so that listing cases imports nothing heavy."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Loop:
    """A loop of `units * steps` steps."""

    units: int
    """Work relative to the other arms."""
    steps: int = 40_000
    """Steps of one unit; about a millisecond."""


@dataclass(frozen=True)
class Predictor:
    """Predicts a user's rating; all False is the global mean."""

    group: bool = False
    """Use the mean of the user's group."""
    own: bool = False
    """Use the user's own ratings."""
    weight: float = 0.75
    """Weight of the user's own ratings against the group."""
    peek: bool = False
    """Look at the answer: the negative control."""


@dataclass(frozen=True)
class Queue:
    """A server and its load."""

    service_s: float = 0.5
    """Seconds a request is served."""
    rate: float = 1.0
    """Requests a second."""
    requests: int = 400
    """Requests simulated."""
