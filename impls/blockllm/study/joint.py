"""Substitutions add up: how far a chain is from itself with all that is allowed, or some of it, made at once.

Thresholds for single swaps are chosen so that a chain with all of them keeps within a target. They are chosen on
validation text, and the same substitutions are then judged on test text. (Specification, Decision 8; §2.4 allows one
substituted segment a request for this reason.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .compare import AT_ONCE, Divergences, compare
from .decision import Thresholds, decide
from .equivalence import Chains, Row, Swap, Texts, swapped

KL, AGREE = 0.01, 0.97
"""Targets for a whole chain, nat and share of tokens: chosen before anything was measured."""
GRID = tuple(
    Thresholds(kl, agree) for agree in (0.97, 0.99) for kl in (1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
)
"""Thresholds of single swaps that are tried."""
Made = Mapping[str, tuple[Swap, ...]]
"""By original: the substitutions that are made at once, at different places; originals without any are left out."""


@dataclass(frozen=True, eq=False)
class Joint:
    """What some thresholds lead to."""

    thresholds: Thresholds
    allowed: frozenset[Swap]
    """Single swaps that pass."""
    made: Made
    apart: Mapping[str, Divergences]
    """By original: of the chain with them from the original."""
    summed: Mapping[str, float]
    """By original: KL divergences of the same substitutions one at a time, added up, nat."""

    @property
    def kl(self) -> float:
        """Of the chain that suffers most, nat; 0 where nothing is allowed."""
        return max((float(apart.kl.mean()) for apart in self.apart.values()), default=0.0)

    @property
    def agree(self) -> float:
        """The same of agreement; 1 where nothing is allowed."""
        return min((float(apart.agree.mean()) for apart in self.apart.values()), default=1.0)


def worst_together(rows: Sequence[Row], allowed: Iterable[Swap], most: int | None = None) -> Made:
    """Of the allowed substitutions of each original the worst at each place, and of these the `most` worst.

    Serving may choose any that is allowed, so what is judged is what it could do worst. None is all places.
    """
    passed = frozenset(allowed)
    worst_first = sorted((row for row in rows if row.swap in passed), key=lambda row: -row.kl)
    made: dict[str, list[Swap]] = {}
    for row in worst_first:
        own = made.setdefault(row.swap.original, [])
        if all(swap.place != row.swap.place for swap in own) and (most is None or len(own) < most):
            own.append(row.swap)
    return {original: tuple(swaps) for original, swaps in made.items()}


def jointly(
    chains: Chains, made: Made, texts: Texts, at_once: int = AT_ONCE, rows: Sequence[Row] = ()
) -> dict[str, Divergences]:
    """How far each original is from itself with its substitutions, by original.

    rows: of swaps on the same texts; a chain with one of them alone is not computed again.
    """
    alone: dict[tuple[Swap, ...], Divergences] = {(row.swap,): row.apart for row in rows}
    return {
        original: alone.get(swaps)
        or compare(chains[original], [swapped(chains, swaps)], texts[original], at_once)[1][0]
        for original, swaps in made.items()
    }


def sweep(
    chains: Chains,
    rows: Sequence[Row],
    texts: Texts,
    grid: Sequence[Thresholds] = GRID,
    most: int | None = None,
    at_once: int = AT_ONCE,
) -> list[Joint]:
    """What each pair of thresholds leads to; texts: those that the rows were measured on.

    Thresholds that allow the same are computed once, and single substitutions are known from the rows.
    """
    alone = {row.swap: row.kl for row in rows}
    allowed = [decide(rows, thresholds) for thresholds in grid]
    made = [worst_together(rows, passed, most) for passed in allowed]
    found: dict[tuple[Swap, ...], Divergences] = {(row.swap,): row.apart for row in rows}
    for original, chain in chains.items():
        distinct = list(dict.fromkeys(one[original] for one in made if len(one.get(original, ())) > 1))
        if distinct:
            others = [swapped(chains, swaps) for swaps in distinct]
            _, apart = compare(chain, others, texts[original], at_once)
            found |= dict(zip(distinct, apart, strict=True))
    return [
        Joint(
            thresholds,
            passed,
            one,
            {original: found[swaps] for original, swaps in one.items()},
            {original: sum(alone[swap] for swap in swaps) for original, swaps in one.items()},
        )
        for thresholds, passed, one in zip(grid, allowed, made, strict=True)
    ]


def choose(swept: Sequence[Joint], kl: float = KL, agree: float = AGREE) -> Joint | None:
    """Of what keeps within both targets in every chain, what allows most; of equals the strictest. None if nothing."""
    within = [joint for joint in swept if joint.kl <= kl and joint.agree >= agree]

    def preferred(one: Joint) -> tuple[int, float, float]:
        return len(one.allowed), -one.thresholds.kl, one.thresholds.agree

    return max(within, key=preferred, default=None)
