"""Cells, tables and intervals as plain text that is also Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .figures import ClaimRow

_PLOT = 36
"""Columns of a drawn interval."""


def cell(value: object) -> str:
    """Text that can neither leave its table cell nor become markup."""
    text = re.sub(r"[\\`*\[|]", r"\\\g<0>", " ".join(str(value).split()))
    text = re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)
    return text.replace("<", "&lt;")


def number(value: object) -> str:
    """A number of ours: only its unit could leave the cell."""
    return str(value).replace("|", "\\|").replace("<", "&lt;")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table whose columns line up in a terminal too; cells are Markdown already."""
    body = [list(row) for row in rows]
    widths = [max(3, *(len(row[i]) for row in [list(heads), *body])) for i in range(len(heads))]

    def line(row: Sequence[str]) -> str:
        padded = (c.rjust(widths[i]) if i in right else c.ljust(widths[i]) for i, c in enumerate(row))
        return f"| {' | '.join(padded)} |"

    rule = "|" + "|".join("-" * (w + 1) + (":" if i in right else "-") for i, w in enumerate(widths)) + "|"
    return "\n".join([line(heads), rule, *map(line, body)])


def drawn(row: ClaimRow, reference: float | None) -> str:
    """An interval drawn with characters, `_PLOT` columns wide."""

    def column(percent: float) -> int:
        return round(percent / 100 * (_PLOT - 1))

    marks = [" "] * _PLOT
    if reference is not None:
        marks[column(reference)] = "┊"
    if row.outside:
        marks[-1 if row.mark.at > 50 else 0] = "▸" if row.mark.at > 50 else "◂"
        return "".join(marks)
    lo, at, hi = column(row.mark.lo), column(row.mark.at), column(row.mark.hi)
    for i in range(lo, hi + 1):
        marks[i] = "─"
    marks[lo], marks[hi] = "├", "┤"
    if row.claimed is not None:
        marks[column(row.claimed)] = "┃"
    marks[at] = "●"
    return "".join(marks)
