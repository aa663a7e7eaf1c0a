"""Garbage collection that does not disturb what is timed: none within a round, a bounded one between rounds."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 700
"""Objects made since the last collection from which on one runs between rounds, as Python's own would within them."""
OLD = 50_000
"""Objects that outlived such collections from which on they are looked at again."""


@contextmanager
def quiet_gc() -> Iterator[None]:
    """No collection in the middle of a round; what exists already is not looked at again."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


class Garbage:
    """Collects between rounds, at a cost that grows with what rounds make and keep, not with everything that lives.

    all_of_it: every time, since what a round prepared anew, however few objects, may hold much memory.
    """

    def __init__(self, all_of_it: bool) -> None:
        self.all_of_it = all_of_it
        self.old = self.looked_at = 0

    def collect(self) -> None:
        young = gc.get_count()[0]  # made and not yet freed; counted also while collections are off
        if self.all_of_it:
            gc.collect()
        elif young > YOUNG:
            self.old += young - gc.collect(0)
            if self.old > max(OLD, 2 * self.looked_at):
                self.old -= gc.collect()
                self.looked_at = self.old
