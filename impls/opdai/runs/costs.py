"""The cost of the system's parts on one core, each made anew."""

from __future__ import annotations

import time

from remeasure.datasets.xmrec.loader import XmrecData

from ..config import Cost
from ..features import Workbench, first_stage
from ..measures import CPU
from ..pieces import pieces
from ..twostage import two_stage


def cost_of(config: Cost, data: XmrecData, seed: int) -> dict[str, object]:
    """CPU seconds of the part."""
    if config.part == "ranker":
        stage = first_stage(Workbench(data, config.system.tables), config.system)
        return {CPU.name: two_stage(data, config.system, seed, stage, keep=False).ranker_s}
    bench = Workbench(data, config.system.tables, seed, keep=False)
    if config.part == "lightgcn":
        piece = next(piece for piece in pieces(data, config.system) if piece.name.startswith("lightgcn"))
        return {CPU.name: bench.score(piece).cpu_s}
    start = time.process_time()
    first_stage(bench, config.system)
    return {CPU.name: time.process_time() - start}
