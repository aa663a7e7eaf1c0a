"""Tiny Shakespeare in three parts by lines, in order; without the file, the declared simulator.

numpy is imported where it is needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remeasure.datasets.common.text import read_text
from remeasure.errors import UserError

LEAST = 10
"""Lines of a text that can be split: one to validate, one to test on."""


@dataclass(frozen=True)
class Request:
    """How the simulator stands in; the real text has no choices."""

    lines: int = 8000
    """Lines of the simulated text."""
    seed: int = 0
    """Seed of the simulated text."""


@dataclass(frozen=True)
class Plays:
    """What a case gets: together the parts are the whole text. `label` names it in reports."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    train: str
    """The first 80 % of the lines, with their line ends."""
    valid: str
    """The next 10 %."""
    test: str
    """The last 10 %."""


def load(request: Request, root: Path | None) -> Plays:
    """The text of `root`/input.txt, whatever it is; None is the simulator.

    Raises UserError for a file that is missing, no UTF-8 text or shorter than ten lines.
    """
    if root is None:
        from .generator import simulate

        text = simulate(max(request.lines, 0), request.seed)
        label, note = "Tiny Shakespeare, simulated", "no real data: the plays are made-up words"
        where = "the simulated text"
    else:
        path = root / "input.txt"
        text = read_text(path, "tinyshakespeare")
        label, note, where = "Tiny Shakespeare", f"{len(text):,} characters", str(path)
    lines = text.splitlines(keepends=True)
    if len(lines) < LEAST:
        raise UserError(
            f"{where} has {len(lines)} lines, {LEAST} are needed to split it; take a longer text."
        )
    first, second = len(lines) * 8 // 10, len(lines) * 9 // 10
    parts = ("".join(lines[part]) for part in (slice(first), slice(first, second), slice(second, None)))
    return Plays(label, root is None, (note,), *parts)
