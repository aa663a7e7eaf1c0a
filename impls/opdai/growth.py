"""How time and memory of a pre-ranker grow: one generated pair of markets, `factor` times the size of t1."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache

from remeasure.datasets.xmrec.generator import Generator, generate
from remeasure.datasets.xmrec.loader import XmrecData, judge
from remeasure.datasets.xmrec.request import Request
from remeasure.impls.common.memory import peak_mb

from .config import Growth, Single
from .features import Workbench
from .measures import FIT_AND_SCORE, PEAK_MB
from .twostage import single_piece

TARGET, SOURCE = "target", "source"


@lru_cache(maxsize=1)
def _markets(users: int, items: int, seed: int) -> XmrecData:
    """Neighbouring arms of one size share their markets."""
    generator = Generator((SOURCE,), (TARGET,), users=users, items=items, source_lists=False, seed=seed)
    return judge(generate(generator), Request(target=TARGET), (TARGET,))


def grown(config: Growth, seed: int) -> Callable[[], dict[str, object]]:
    """Generate the markets; what it returns fits and scores on their merge.

    Peak memory is what it needs beside the corpus.
    """
    data = _markets(config.users * config.factor, config.items * config.factor, seed)
    single = Single(config.model, merge="all")
    bench = Workbench(data, single.tables, seed, keep=False)
    piece = single_piece(data, single)
    bench.corpus(piece.markets)

    def run() -> dict[str, object]:
        start = time.process_time()
        peak = peak_mb(lambda: bench.score(piece))
        return {FIT_AND_SCORE.name: time.process_time() - start, PEAK_MB.name: peak}

    return run
