"""What is printed: tables, JSON, notes. Plain text when not a terminal, colours where they are wanted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from ..judging.judged import Judgement, Report

COLOURS = {
    "reproduced": "green",
    "reproduced, stronger": "green",
    "direction only": "yellow",
    "inconclusive": "yellow",
    "not reproduced": "red",
    "contradicted": "red",
    "invalid run": "magenta",
}


def note(text: str) -> None:
    """Something a person wants to know and a program does not: standard error."""
    typer.echo(text, err=True)


def as_json(value: Any) -> None:
    import msgspec

    encoded = msgspec.json.encode(value, enc_hook=_plain)
    typer.echo(msgspec.json.format(encoded, indent=2).decode())


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Aligned columns; `right` are the indices of columns of numbers. Never cut short when not a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        shown.add_column(header, justify="right" if index in right else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else 1000, highlight=False, soft_wrap=not terminal)
    if terminal:
        console.print(shown)
        return
    with console.capture() as captured:
        console.print(shown)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def number(value: float | None) -> str:
    """Four figures that matter; a dash where there is no number."""
    from ..report.readme import number as shown

    return shown(value)


def interval(lo: float | None, hi: float | None) -> str:
    from ..report.readme import interval as shown

    return shown(lo, hi)


def judgements(claims: Sequence[Judgement]) -> None:
    """The claims table that `run`, `report` and `claims` end with."""
    table(
        ("claim", "verdict", "measured", "95 % interval", "claimed", "n", "evidence"),
        (
            (
                f"{claim.system}/{claim.id}",
                claim.verdict.word,
                number(claim.estimate),
                interval(claim.lo, claim.hi),
                number(claim.claimed),
                str(claim.n or ""),
                evidence(claim),
            )
            for claim in claims
        ),
        right=(2, 4, 5),
    )


def evidence(claim: Judgement) -> str:
    """How the number was obtained and on which data; printed beside every number."""
    return ", ".join(part for part in (claim.evidence, f"{claim.data} data" if claim.data else "") if part)


def summary(report: Report) -> None:
    """The claims table, then every loud sentence of the report."""
    judgements(report.claims)
    for sentence in report.notes:
        note(f"note: {sentence}")


def config(of: Any) -> Any:
    """A config or request by its fields."""
    return {field.name: getattr(of, field.name) for field in fields(of)} if is_dataclass(of) else of


def cell(value: Any) -> str:
    """A value as one cell of a table."""
    if isinstance(value, dict):
        return ", ".join(f"{key}={cell(inner)}" for key, inner in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    return str(value)
