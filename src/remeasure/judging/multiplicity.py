"""Many words at once: how many would be wrong by chance, and how many stand when all are asked together."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from .judged import ALPHA, Chance, Judgement

JUDGED = frozenset(
    {"reproduced", "reproduced, stronger", "direction only", "inconclusive", "not reproduced", "contradicted"}
)
"""Words that follow from an interval."""


def holm(ps: Sequence[float | None], alpha: float = ALPHA) -> list[bool]:
    """Which of several tests are still rejected after Holm's correction; one without p never is."""
    order = sorted(range(len(ps)), key=lambda at: math.inf if ps[at] is None else ps[at])  # type: ignore[arg-type, return-value]
    rejected = [False] * len(ps)
    for rank, at in enumerate(order):
        p = ps[at]
        if p is None or p > alpha / (len(ps) - rank):
            break
        rejected[at] = True
    return rejected


def chance(claims: Sequence[Judgement]) -> Chance:
    """What to think of all words of a report together; verdicts themselves stay uncorrected."""
    words = [claim for claim in claims if claim.verdict.word in JUDGED]
    ps = [claim.p for claim in words if claim.p is not None]
    significant = sum(p < ALPHA for p in ps)
    survive = int((stats.false_discovery_control(np.array(ps)) < ALPHA).sum()) if ps else 0
    return Chance(
        judged=len(words),
        tested=len(ps),
        left_out=len(words) - len(ps),
        expected_wrong=ALPHA * len(ps),
        significant=significant,
        survive=survive,
    )
