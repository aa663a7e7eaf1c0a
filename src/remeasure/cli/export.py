"""`remeasure export`: every sample of every record, a row each, for tools of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError
from . import options
from .places import places, shown

Format = Literal["jsonl", "parquet", "csv"]


def export(
    format_: Annotated[
        Format | None, typer.Option("--format", "-f", help="jsonl, parquet or csv; else by --out.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to; samples.FORMAT here if not said."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", "-p", help="Only this profile; else all.")
    ] = None,
    system: options.Systems = None,
    case: options.Cases = None,
    results: options.Results = None,
) -> None:
    """Every sample, a row each: JSON Lines, parquet, CSV."""
    from ..declared.registry import registry
    from ..records.export import export as write
    from ..records.store import Store

    path = _path(format_, out)
    found = registry()
    systems = {found.system(name).name for name in system or ()}
    cases = {found.case(name).id for name in case or ()}
    records = [
        record
        for record in Store(places(results).results).read_all(profile, systems or None)
        if (not cases or f"{record.system}/{record.case}" in cases)
    ]
    if not records:
        raise UserError("no finished block matches; `remeasure run` first.")
    count = write(records, path)
    typer.echo(f"{shown(path)}: {count} rows of {len(records)} blocks.")


def _path(format_: Format | None, out: Path | None) -> Path:
    """The file to write; its ending is the format."""
    if out is None:
        return Path(f"samples.{format_ or 'jsonl'}")
    if format_ and not out.suffix:
        return out.with_suffix(f".{format_}")
    if format_ and out.suffix != f".{format_}":
        raise UserError(f"--out {out.name} does not end in .{format_}; make the two agree.")
    return out
