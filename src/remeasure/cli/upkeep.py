"""`clean` and `doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from . import console, exits, options
from .places import places, shown

SIZES = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"), (1, "B"))


def clean(
    runs: Annotated[
        bool, typer.Option("--runs", help="Records and environment records of finished blocks.")
    ] = False,
    cache: Annotated[
        bool, typer.Option("--cache", help="Downloads, remembered scores, asv's environments.")
    ] = False,
    logs: Annotated[bool, typer.Option("--logs", help="Logs of workers.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove what is listed.")] = False,
    results: options.Results = None,
    json: options.Json = False,
) -> None:
    """List runs, logs and caches; --yes removes them. Releases stay."""
    from ..data.copies import cache_dir
    from ..records.clean import removables, remove

    where = places(results)
    wanted = {kind for kind, on in (("runs", runs), ("cache", cache), ("logs", logs)) if on}
    items = [
        item
        for item in removables(where.results, cache_dir(), where.root)
        if not wanted or item.kind in wanted
    ]
    if json:
        console.as_json([{**_row(item.kind, item.what, item.files), "bytes": item.bytes} for item in items])
    elif items:
        console.table(
            ("kind", "what", "files", "size", "where"),
            ((item.kind, item.what, str(item.files), size(item.bytes), shown(item.path)) for item in items),
            right=(2, 3),
        )
    total = size(sum(item.bytes for item in items))
    if not items:
        console.note("There is nothing to remove.")
    elif yes:
        remove(items)
        console.note(f"Removed {total}.")
    else:
        console.note(f"{total} in all; say it again with --yes to remove it.")


def doctor(results: options.Results = None, json: options.Json = False) -> None:
    """Is this machine ready? Versions, data, browser, cores, load, threads, disk, permissions."""
    from ..data.copies import cache_dir
    from ..declared.registry import registry
    from ..doctor import checks

    where = places(results)
    done = list(checks(registry(), where.results, cache_dir(), where.root))
    if json:
        console.as_json(
            [{"check": check.name, "state": check.state, "detail": check.detail} for check in done]
        )
    else:
        console.table(
            ("check", "state", "detail"), ((check.name, check.state, check.detail) for check in done)
        )
    if any(check.state == "wrong" for check in done):
        raise typer.Exit(exits.BAD_INPUT)


def size(count: int) -> str:
    """Bytes as a person reads them."""
    unit, name = next(((unit, name) for unit, name in SIZES if count >= unit), SIZES[-1])
    return f"{count / unit:.0f} {name}" if unit == 1 else f"{count / unit:.1f} {name}"


def _row(kind: str, what: str, files: int) -> dict[str, object]:
    return {"kind": kind, "what": what, "files": files}
