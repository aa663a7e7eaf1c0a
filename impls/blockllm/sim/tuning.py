"""Choosing the settings of every arm in the same way (Decision 10): as many trials, on seeds used for nothing else.

PM and PS choose batch, copies and queue; BlockLLM chooses how far b* may go in place of one batch for all.
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


@dataclass(frozen=True)
class Trial:
    """A point of the space and what it was judged by, the smaller the better."""

    choice: Mapping[str, object]
    value: float


def space(serving: Serving) -> dict[str, tuple[object, ...]]:
    """What may be chosen for a system: 30 points for each."""
    return PER_BLOCK if serving.batch == "per_block" else GLOBAL


def tune(serving: Serving, judge: Callable[[Serving], float]) -> tuple[Serving, Sequence[Trial]]:
    """Try every point; returns the system with the best one put in (the first of equals), and all trials."""
    names = space(serving)
    trials: list[Trial] = []
    for values in itertools.product(*names.values()):
        choice = dict(zip(names, values, strict=True))
        trials.append(Trial(choice, judge(replace(serving, **choice))))  # type: ignore[arg-type]
    best = min(trials, key=lambda trial: trial.value)
    return replace(serving, **best.choice), trials  # type: ignore[arg-type]
