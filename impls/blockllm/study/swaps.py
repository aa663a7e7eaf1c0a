"""The whole study of swaps: measured on validation text, decided there, and reported on test text.

Everything a case reports of equivalence, as samples by document and as plain tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .compare import AT_ONCE, Divergences
from .decision import Thresholds
from .equivalence import Chains, Row, Swap, Texts, measure
from .joint import AGREE, GRID, KL, Joint, choose, jointly, sweep


@dataclass(frozen=True, eq=False)
class Chosen:
    """Thresholds for chains with at most so many substitutions, and how they do on text that did not choose them."""

    most: int | None
    """Substitutions in a chain; None is all that are allowed."""
    swept: tuple[Joint, ...]
    """All thresholds that were tried, on validation text."""
    joint: Joint | None
    """What was chosen; None where nothing of the grid kept within the targets."""
    apart: Mapping[str, Divergences]
    """By original: of its chain with the chosen substitutions from itself, on test text."""


@dataclass(frozen=True, eq=False)
class Study:
    """What was found."""

    valid: tuple[Row, ...]
    test: tuple[Row, ...]
    """The same swaps in the same order."""
    chosen: tuple[Chosen, ...]

    def held(self, chosen: Chosen) -> float:
        """Share of the allowed swaps that keep within the thresholds on test text too; 1 where none is allowed."""
        if chosen.joint is None or not chosen.joint.allowed:
            return 1.0
        rows = [row for row in self.test if row.swap in chosen.joint.allowed]
        return sum(chosen.joint.thresholds.allows(row) for row in rows) / len(rows)


def study(
    chains: Chains,
    swaps: Sequence[Swap],
    valid: Texts,
    test: Texts,
    *,
    mosts: Sequence[int | None] = (1, None),
    grid: Sequence[Thresholds] = GRID,
    kl: float = KL,
    agree: float = AGREE,
    at_once: int = AT_ONCE,
) -> Study:
    """Measure swaps on both texts; choose thresholds on `valid` for chains with each number of substitutions.

    Swaps between layers are controls: measured, and never allowed.
    """
    rows, on_test = (measure(chains, swaps, texts, at_once) for texts in (valid, test))
    within = [row for row in rows if row.swap.same_layer]
    chosen = []
    for most in mosts:
        swept = sweep(chains, within, valid, grid, most, at_once)
        joint = choose(swept, kl, agree)
        apart = jointly(chains, joint.made, test, at_once, on_test) if joint else {}
        chosen.append(Chosen(most, tuple(swept), joint, apart))
    return Study(tuple(rows), tuple(on_test), tuple(chosen))
