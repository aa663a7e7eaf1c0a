"""`remeasure do SYSTEM COMMAND`: what a system can do beside being measured."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from . import console, options
from .progress import quiet

if TYPE_CHECKING:
    from ..contracts import Command
    from ..declared.registry import System


def do(
    system: Annotated[str, typer.Argument(help="A system of `remeasure list`.")],
    command: Annotated[
        str | None, typer.Argument(help="What to do; left out, the commands are listed.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder to write to.")] = Path(
        "out"
    ),
    set_: options.Settings = None,
) -> None:
    """Run a command of a system, such as writing a submission; without COMMAND, list what it offers."""
    from ..contracts import Workspace
    from ..declared.overrides import parse_set
    from ..declared.registry import registry

    found = registry().system(system)
    commands = {offered.name: offered for offered in _commands(found)}
    if command is None:
        console.table(("command", "what it does"), ((c.name, c.help) for c in commands.values()))
        return
    if command not in commands:
        raise UserError(f"{system} has no command {command!r}; it has {', '.join(commands) or 'none'}.")
    settings = dict(parse_set(set_ or []))
    directory = settings.pop("data", None)
    try:
        out.mkdir(parents=True, exist_ok=True)  # now: not after an hour of work
    except OSError as error:
        raise UserError(f"{out} cannot be made ({error.strerror}); name another folder with --out.") from None
    space = Workspace(
        load=lambda name, request: _load(name, request, directory),
        out=out,
        settings=settings,
        report=console.note if not quiet() else lambda line: None,
    )
    for path in commands[command].run(space):
        typer.echo(str(path))


def _commands(system: System) -> tuple[Command, ...]:
    """`COMMANDS` of the system's commands.py, if it has one."""
    name = f"{system.package}.commands"
    if importlib.util.find_spec(name) is None:
        return ()
    return tuple(importlib.import_module(name).COMMANDS)


def _load(name: str, request: Any, directory: str | None) -> Any:
    """The data set as a run would load it; that they are simulated is said aloud."""
    from ..data.sources import resolve
    from ..declared.registry import registry

    card = registry().dataset(name)
    source = resolve(card, None if directory is None else Path(directory).expanduser())
    if source.kind == "simulated":
        console.note(f"{name}: the real data are out of reach; these are SIMULATED.")
    return importlib.import_module(f"{card.package}.loader").load(request, source.root)
