"""What stands behind a number: processes and rounds, units and seeds, and what a null could have found."""

from __future__ import annotations

from ..judging.judged import ALPHA, Judgement
from .numbers import count, shown

NULLS = ("not reproduced", "inconclusive", "below resolution")
"""Words that say that nothing was found, which is worth as much as what could have been."""
BOUNDS = {"interval": "95 % interval", "range": "range over draws, no interval", "none": "no interval"}


def behind(j: Judgement) -> dict[str, str]:
    """Facts by name, in words; empty for a claim without a number."""
    if j.estimate is None:
        return {}
    facts = {"behind it": _sample(j)}
    if j.spread != "interval":
        facts["bounds"] = BOUNDS[j.spread]
    if j.beyond:
        facts["more seeds"] = f"beyond the profile's, by {j.beyond}"
    if j.design_effect is not None:
        facts["design effect"] = (
            f"{j.design_effect:.2g}, the variance against that of as many independent samples"
        )
    if j.detectable is not None and _is_null(j):
        kind = "ratio" if j.unit == "×" or j.kind == "ratio" else "value"
        facts["could have been found"] = f"{shown(kind, j.detectable, unit=j.unit).one}, in 4 of 5 repeats"
    return facts


def _is_null(j: Judgement) -> bool:
    """Nothing was found, by its word or, where it is shown without one, by its test."""
    return j.verdict.word in NULLS or (j.p is not None and j.p >= ALPHA)


def _sample(j: Judgement) -> str:
    """`8 processes of 10 rounds`, `2,697 users × 3 seeds`, `20 seeds`, `200 draws`."""
    seeds = f"{count(len(j.seeds))} {'seed' if len(j.seeds) == 1 else 'seeds'}"
    if j.spread == "range":
        return f"{count(j.n)} draws"
    if j.rounds:
        return f"{count(j.n)} {'process' if j.n == 1 else 'processes'} of {j.rounds} rounds"
    return f"{count(j.units)} {j.per}s × {seeds}" if j.units else seeds
