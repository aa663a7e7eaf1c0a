"""README's tables, made from the release's summary."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..records.store import write_whole
from .latest import Latest, ReleasedClaim, ReleasedFigure

BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
SHORT = 10
"""Characters of a commit that README shows."""
NOT_RECORDED = "not recorded"
"""Of a figure of a release that was made before its evidence was written down."""


def readme_tables(latest: Latest) -> str:
    """The generated block of README, markers included: claims and figures of each system, with their age."""
    parts = [BEGIN, f"Measured with profile `{latest.profile}` on {_machine(latest.environment)}."]
    for name, system in latest.systems.items():
        parts.append(f"**{name}**, measured {system.date} at commit `{system.commit[:SHORT]}`")
        claims = [claim for claim in latest.claims if claim.system == name]
        if claims:
            rows = [
                (
                    c.id,
                    c.verdict,
                    number(c.claimed),
                    number(c.estimate),
                    interval(c.lo, c.hi),
                    c.n or "–",
                    _how(c),
                )
                for c in claims
            ]
            parts.append(
                _table(("claim", "verdict", "claimed", "measured", "95 % interval", "n", "evidence"), rows)
            )
        figures = [figure for figure in latest.figures if figure.system == name]
        if figures:
            shown = [
                (f.name, f"{number(f.value)} {f.unit}".strip(), interval(f.lo, f.hi), _goal(f), _how(f))
                for f in figures
            ]
            parts.append(_table(("figure", "measured", "95 % interval", "goal", "evidence"), shown))
    return "\n\n".join([*parts, END])


def update_readme(path: Path, latest: Latest) -> bool:
    """Replace the generated block of README; False if it was up to date. Raises UserError without markers."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path.name} has no block between {BEGIN} and {END}; put both markers in.")
    updated = before + readme_tables(latest) + after
    if updated == text:
        return False
    write_whole(path, updated.encode())
    return True


def number(value: float | None) -> str:
    """Four figures that matter; a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"


def interval(lo: float | None, hi: float | None) -> str:
    return "–" if lo is None or hi is None else f"[{number(lo)}, {number(hi)}]"


def _machine(environment: Mapping[str, Any]) -> str:
    cpu, cores = environment.get("cpu_model", "a machine that is not recorded"), environment.get("cores", "?")
    return f"{cpu} ({cores} cores), Python {environment.get('python', '?')}"


def _how(row: ReleasedClaim | ReleasedFigure) -> str:
    """Evidence, data and, where a guard refused it, that it is no valid number."""
    refused = getattr(row, "invalid", "")
    parts = (row.evidence, f"{row.data} data" if row.data else "", f"invalid, {refused}" if refused else "")
    # A claim that nothing is measured for has no evidence to be recorded.
    lacking = NOT_RECORDED if isinstance(row, ReleasedFigure) else ""
    return ", ".join(filter(None, parts)) or lacking


def _goal(figure: ReleasedFigure) -> str:
    if not figure.target:
        return "–"
    return f"{figure.target}, {'not judged' if figure.met is None else 'met' if figure.met else 'missed'}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )
