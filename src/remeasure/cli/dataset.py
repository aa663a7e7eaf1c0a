"""`remeasure dataset list | fetch | verify`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from . import console, exits, options

if TYPE_CHECKING:
    from ..data.fetch import Progress
    from ..declared.cards import DataCard

commands = typer.Typer(help="List, fetch or verify data sets.", no_args_is_help=True)


class _BudgetEnded(Exception):
    """Raised out of a download; no OSError, which would mean that the cache cannot be written."""


Names = Annotated[
    list[str] | None, typer.Argument(metavar="[NAME]...", help="Data sets; all where none is named.")
]


@commands.command("list")
def list_(json: options.Json = False) -> None:
    """Every data set, and which copy of it would serve."""
    rows = [
        {"name": card.name, "serves": _serves(card), "licence": card.licence, "title": card.title}
        for card in _cards(None)
    ]
    if json:
        console.as_json(rows)
    elif rows:
        console.table(tuple(rows[0]), (tuple(row.values()) for row in rows))


@commands.command("fetch")
def fetch(
    names: Names = None,
    connect_timeout: Annotated[
        float | None,
        typer.Option("--connect-timeout", metavar="SECONDS", help="Give up on a site that does not answer."),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TIME", help="Stop after e.g. 10m; saying it again goes on."),
    ] = None,
) -> None:
    """Bring real files from their publishers into the user cache, each checked against its sha256."""
    from ..data.copies import locate
    from ..data.fetch import fetch as fetch_one

    end = None if budget is None else time.monotonic() + options.seconds(budget)
    refused: list[str] = []
    for card in _cards(names):
        if not card.files:
            continue
        found = locate(card)
        if found and found[1] == "REMEASURE_DATA":
            typer.echo(f"{card.name}: $REMEASURE_DATA has it.")
            continue
        try:
            with _bar(card.name, end) as progress:
                fetch_one(card, connect_timeout=connect_timeout, progress=progress)
        except UserError as error:
            refused.append(str(error))
        except _BudgetEnded:
            console.note("The budget ended; say the same again to go on.")
            raise typer.Exit(exits.BUDGET_ENDED) from None
        else:
            typer.echo(f"{card.name}: in the cache, every file as its card says.")
    if refused:
        raise UserError(" ".join(refused))


@commands.command("verify")
def verify(names: Names = None) -> None:
    """Read every file of the copies that would serve, and compare with the cards."""
    from ..data.copies import locate
    from ..data.copies import verify as verify_one

    wrong: list[str] = []
    for card in _cards(names):
        found = locate(card)
        if found is None:
            typer.echo(f"{card.name}: no real files here; the simulator serves.")
            continue
        try:
            checked = verify_one(card, found[0], remember=False)
        except UserError as error:
            wrong.append(str(error))
        else:
            typer.echo(
                f"{card.name}: every file as its card says{f' ({checked.note})' if checked.note else ''}."
            )
    if wrong:
        raise UserError(" ".join(wrong))


def _cards(names: list[str] | None) -> list[DataCard]:
    from ..declared.registry import registry

    found = registry()
    return [found.dataset(name) for name in names] if names else list(found.datasets.values())


def _serves(card: DataCard) -> str:
    from ..data.sources import resolve

    try:
        source = resolve(card)
    except UserError as error:
        return f"refused: {error}"
    return "simulator" if source.root is None else f"real, from {source.origin}"


@contextmanager
def _bar(name: str, end: float | None) -> Iterator[Progress]:
    """A bar on a terminal, silence elsewhere; raises _BudgetEnded when the budget ends."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    screen = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen, disable=not screen.is_terminal, transient=True) as bars:
        task = bars.add_task(name, total=None)

        def progress(file: str, done: int, total: int) -> None:
            if end is not None and time.monotonic() > end:
                raise _BudgetEnded
            bars.update(task, completed=done, total=total, description=f"{name}: {file}")

        yield progress
