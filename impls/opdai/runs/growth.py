"""How time and memory of a pre-ranker grow: one generated pair of markets, `factor` times the size of t1."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from remeasure.datasets.xmrec.generator import Generator, generate
from remeasure.datasets.xmrec.loader import XmrecData, judge
from remeasure.datasets.xmrec.request import Request
from remeasure.impls.common.memory import peak_mb

from ..config import Growth, Single
from ..features import Workbench
from ..measures import FIT_AND_SCORE, PEAK_MB
from ..pieces import single_piece

TARGET, SOURCE = "target", "source"


@lru_cache(maxsize=1)
def _markets(users: int, items: int, seed: int) -> XmrecData:
    """Arms of one size that follow each other share their markets."""
    generator = Generator((SOURCE,), (TARGET,), users=users, items=items, source_lists=False, seed=seed)
    return judge(generate(generator), Request(target=TARGET), (TARGET,))


def grown(config: Growth, seed: int) -> Callable[[], dict[str, object]]:
    """What it returns generates the markets, then fits and scores on their merge; only the latter is counted.

    Peak memory is what it needs beside the corpus. The markets live no longer than the round, so that a block
    over many sizes needs the memory of the largest, not of all.
    """
    single = Single(config.model, merge="all")

    def run() -> dict[str, object]:
        data = _markets(config.users * config.factor, config.items * config.factor, seed)
        bench = Workbench(data, single.tables, seed, keep=False)
        piece = single_piece(data, single)
        bench.corpus(piece.markets)
        start = time.process_time()
        peak = peak_mb(lambda: bench.score(piece))
        return {FIT_AND_SCORE.name: time.process_time() - start, PEAK_MB.name: peak}

    return run
