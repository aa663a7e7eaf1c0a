"""What comes to the device and when: requests in order of time, and the load of other applications as steps.

Everything is an iterator, so that a trace of any length takes no memory before it is served.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import pairwise

import numpy as np

Lengths = Callable[[np.random.Generator], tuple[int, int]]
"""Draws (prompt tokens, new tokens) of one request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One generation by one model."""

    at_s: float
    """When it is asked for; it is served once everything asked for before it has ended."""
    model: str
    prompt_tokens: int
    new_tokens: int
    """Tokens generated, the first one included; at least 1."""
    session: str = ""
    """The run of a workflow that it belongs to; empty: none."""
    last: bool = True
    """Whether it ends its run of a workflow."""
    shared_tokens: int = 0
    """First tokens of the prompt whose KV the same model's request before left; they are not computed again if that
    KV cache is still in memory."""

    def __post_init__(self) -> None:
        if min(self.prompt_tokens, self.new_tokens) < 1 or self.shared_tokens < 0:
            raise ValueError("a request has at least one prompt token and generates at least one token")


@dataclass(frozen=True)
class Step:
    """One call of a model inside a workflow."""

    model: str
    prompt_tokens: int
    new_tokens: int
    shared_tokens: int = 0
    """First tokens of the prompt that are the same in every run."""


@dataclass(frozen=True)
class Steps:
    """Memory that other applications hold, GB: a function of time that says when it changes.

    A plain function may be given to the simulator instead; that one is looked at when requests begin and end.
    """

    changes_s: tuple[float, ...]
    """When a level begins, increasing; the first level also holds before its time."""
    levels_gb: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.levels_gb or len(self.changes_s) != len(self.levels_gb):
            raise ValueError("a load of other applications needs one level for each time")
        if any(later <= earlier for earlier, later in pairwise(self.changes_s)):
            raise ValueError("the times at which the load of other applications changes must increase")

    def __call__(self, time_s: float) -> float:
        return self.levels_gb[max(0, bisect_right(self.changes_s, time_s) - 1)]

    def next_change(self, time_s: float) -> float | None:
        """The first change after `time_s`; None: there is none."""
        place = bisect_right(self.changes_s, time_s)
        return self.changes_s[place] if place < len(self.changes_s) else None


def poisson(per_hour: float, hours: float, seed: int | list[int]) -> Iterator[float]:
    """Seconds at which independent users ask, `per_hour` times an hour on average, for `hours`."""
    rng = np.random.default_rng(seed)
    seconds = 60 * 60
    time = rng.exponential(seconds / per_hour)
    while time < hours * seconds:
        yield float(time)
        time += rng.exponential(seconds / per_hour)


def dispatched(
    times: Iterable[float], models: Sequence[str], lengths: Lengths, seed: int
) -> Iterator[Request]:
    """A request at each time, of a model drawn with equal chances (June §7.4, random dispatch)."""
    rng = np.random.default_rng(seed)
    for time in times:
        model = models[int(rng.integers(len(models)))]
        yield Request(time, model, *lengths(rng))


def workflow(times: Iterable[float], name: str, steps: Sequence[Step]) -> Iterator[Request]:
    """A run of a workflow at each time: its calls follow each other, each as soon as the one before has ended."""
    for run, time in enumerate(times):
        for place, step in enumerate(steps, start=1):
            yield Request(
                time,
                step.model,
                step.prompt_tokens,
                step.new_tokens,
                f"{name}#{run}",
                place == len(steps),
                step.shared_tokens,
            )


def merged(*streams: Iterable[Request]) -> Iterator[Request]:
    """Several streams, each in order of time, as one; equal times keep the order of the streams."""
    return merge(*streams, key=lambda request: request.at_s)
