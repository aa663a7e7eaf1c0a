"""How often the intervals cover and the words err: rows of the committed coverage.json, which coverage.py writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from ..package import PACKAGE
from ..struct import Struct

TABLE = PACKAGE / "judging" / "coverage.json"
What = Literal["coverage", "reproduced", "contradicted"]


class Row(Struct, frozen=True):
    """One cell: data sets of one kind whose truth is known."""

    group: str
    cell: str
    what: What
    """`coverage`: the interval covers the truth; else the word that was given though the truth does not earn it."""
    share: float
    """Of the data sets, those in which it was so."""
    two_se: float
    """Two standard errors of the share."""
    draws: int
    """Data sets."""
    required: tuple[float, float] | None = None
    """Between what the share has to lie; None: printed only, a contrast or a known limit."""
    ok: bool = True
    """It lies there."""


def read_table() -> list[Row]:
    """The committed rows; none where the file is missing."""
    return msgspec.json.decode(TABLE.read_bytes(), type=list[Row]) if TABLE.exists() else []


def encoded(rows: Iterable[Row]) -> bytes:
    """A row a line, so that a change shows as the lines that changed."""
    return b"[\n" + b",\n".join(map(msgspec.json.encode, rows)) + b"\n]\n"


def markdown(rows: Sequence[Row]) -> str:
    """A line a group, and another for each requirement in it: how many cells, the smallest and the largest share."""
    lines = [
        "| data sets | counted | cells | smallest | largest | required | outside |",
        "| --- | --- | ---: | ---: | ---: | --- | ---: |",
    ]
    alike: dict[tuple[str, What, tuple[float, float] | None], list[Row]] = {}
    for row in rows:
        alike.setdefault((row.group, row.what, row.required), []).append(row)
    for (group, what, required), found in alike.items():
        least, most = (_percent(pick(row.share for row in found)) for pick in (min, max))
        between, missed = (
            (_between(required), sum(not row.ok for row in found)) if required else ("nothing", "")
        )
        lines.append(f"| {group} | {what} | {len(found)} | {least} | {most} | {between} | {missed} |")
    return "\n".join(lines) + "\n"


def line(row: Row) -> str:
    """One row, as the command prints it."""
    said = f"{_percent(row.share):>7} ± {100 * row.two_se:.1f}  {row.what:<12}  {row.group}: {row.cell}"
    if not row.required:
        return f"{said}  (nothing required)"
    return said if row.ok else f"{said}  MISSES {_between(row.required)}"


def _between(required: tuple[float, float]) -> str:
    lo, hi = required
    if lo <= 0:
        return f"≤ {_percent(hi)}"
    return f"≥ {_percent(lo)}" if hi >= 1 else f"{_percent(lo)} – {_percent(hi)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
