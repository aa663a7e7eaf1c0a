"""How fast the simulator is, beside the fastest thing it could be: a heap of which events are taken and put back."""

from __future__ import annotations

import time
from heapq import heappop, heappush
from itertools import count

from .engine import Engine


def bare_pops_per_s(pops: int = 200_000, waiting: int = 32) -> float:
    """Events a second of a heap of tuples as the simulator's, `waiting` of them at a time, by process CPU time."""
    tick = count().__next__
    heap: list[tuple[float, int, int, object]] = []
    for n in range(waiting):
        heappush(heap, (n * 0.01, tick(), 0, None))
    begin = time.process_time()
    for _ in range(pops):
        now, _, kind, what = heappop(heap)
        heappush(heap, (now + 0.013, tick(), kind, what))
    return pops / (time.process_time() - begin)


def pops_per_s(engine: Engine) -> float:
    """Events a second of a prepared simulation, which it runs to its end."""
    begin = time.process_time()
    engine.run()
    return engine.pops / (time.process_time() - begin)
