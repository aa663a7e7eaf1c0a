"""Virtual time: what happens next, ordered by (time, order of scheduling).

A simulator schedules calls and lets the loop make them. There is no clock, no thread and no randomness in here, so the
same calls give the same history. An event that may become void checks that itself when it is called (a generation
number is enough): taking things out of the middle of a heap costs more than it saves.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from math import inf
from typing import Any

Act = Callable[[Any], object]


class Loop:
    """A heap of future calls. `now` is the time of the call being made, in seconds; it never goes back."""

    __slots__ = ("_heap", "_scheduled", "now")

    def __init__(self, start: float = 0.0) -> None:
        self.now = start
        self._heap: list[tuple[float, int, Act, Any]] = []
        self._scheduled = 0

    def __len__(self) -> int:
        """Calls still to be made."""
        return len(self._heap)

    def at(self, time: float, act: Act, argument: Any = None) -> None:
        """Call act(argument) at `time`; calls for the same time are made in the order they were scheduled in.

        Raises ValueError for a time that has passed or is not a number.
        """
        if not time >= self.now:  # said so that NaN is refused as well
            raise ValueError(f"an event cannot be scheduled at {time}, the clock shows {self.now}")
        self._scheduled += 1
        heappush(self._heap, (time, self._scheduled, act, argument))

    def after(self, delay: float, act: Act, argument: Any = None) -> None:
        """Call act(argument) `delay` seconds from now."""
        self.at(self.now + delay, act, argument)

    def run(self, until: float = inf) -> int:
        """Make every call up to and including `until`, also those scheduled on the way; returns how many.

        The clock stops at the last call made. An exception of a call ends the run; the other calls stay scheduled.
        """
        heap = self._heap
        made = 0
        while heap and heap[0][0] <= until:
            self.now, _, act, argument = heappop(heap)
            made += 1
            act(argument)
        return made
