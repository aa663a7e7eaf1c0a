"""Restoring parts in the background, one after the other: prefetch during decoding, rebuilding while idle."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from .catalogue import Catalogue
from .memory import Memory
from .residency import Load

Schedule = Callable[[float, Callable[[int], None], int], None]


class Loader:
    """Loads what it was told last. `after` schedules a call so many seconds from now."""

    def __init__(self, memory: Memory, catalogue: Catalogue, after: Schedule) -> None:
        self._memory, self._catalogue, self._after = memory, catalogue, after
        self._loads: deque[Load] = deque()
        self._generation = 0
        """Calls scheduled for an earlier list are void."""

    def start(self, loads: Iterable[Load], delay_s: float = 0.0) -> None:
        """Load these instead of what is left; the flash is free in `delay_s`."""
        self.stop()
        self._loads = deque(loads)
        self._go_on(delay_s)

    def stop(self) -> None:
        """Leave what is left; a part that is half loaded is lost."""
        self._generation += 1
        self._loads.clear()

    def _go_on(self, delay_s: float = 0.0) -> None:
        if self._loads:
            seconds = delay_s + self._catalogue.restore_s(self._loads[0].nbytes)
            self._after(seconds, self._arrived, self._generation)

    def _arrived(self, generation: int) -> None:
        if generation != self._generation:
            return
        load = self._loads.popleft()
        if load.nbytes > self._memory.free:
            self.stop()  # memory is short: nothing is loaded at the expense of applications
            return
        self._memory.hold_weights(load.model, {load.part: load.nbytes})
        self._go_on()
