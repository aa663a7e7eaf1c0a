"""Choosing the settings of every arm in the same way (Decision 10): as many trials, on seeds used for nothing else.

PM, PS and PM with migration choose batch, copies and queue; BlockLLM chooses how far b* may go in place of one batch
for all; pipelines choose their number of stages in place of the queue.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from .config import Serving

COPIES = (0.0, 0.1, 0.2, 0.4, 1.0)
GLOBAL: dict[str, tuple[object, ...]] = {
    "max_batch": (32, 64, 128),
    "replica_share": COPIES,
    "binding": ("early", "late"),
}
PER_BLOCK: dict[str, tuple[object, ...]] = {
    "gamma": (0.5, 1.5, 4.0),
    "replica_share": COPIES,
    "binding": ("early", "late"),
}
PIPELINED: dict[str, tuple[object, ...]] = {
    "max_batch": (32, 64, 128),
    "replica_share": COPIES,
    "stages": (2, 4),
}
SPACES: dict[str, dict[str, tuple[object, ...]]] = {
    "pm": GLOBAL,
    "ps": GLOBAL,
    "blockllm": PER_BLOCK,
    "ideal": PER_BLOCK,
    "llumnix": GLOBAL,
    "alpaserve": PIPELINED,
}
"""What may be chosen, by system: 30 points for each."""


@dataclass(frozen=True)
class Trial:
    """A point of the space and what it was judged by, the smaller the better."""

    choice: Mapping[str, object]
    value: float


def tune(
    serving: Serving, space: Mapping[str, Sequence[object]], judge: Callable[[Serving], float]
) -> tuple[Serving, Sequence[Trial]]:
    """Try every point of a space; returns the system with the best one put in (the first of equals), and all trials."""
    trials: list[Trial] = []
    for values in itertools.product(*space.values()):
        choice = dict(zip(space, values, strict=True))
        trials.append(Trial(choice, judge(replace(serving, **choice))))  # type: ignore[arg-type]
    best = min(trials, key=lambda trial: trial.value)
    return replace(serving, **best.choice), trials  # type: ignore[arg-type]
