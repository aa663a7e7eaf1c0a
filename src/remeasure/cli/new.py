"""`remeasure new`: write the skeleton of a system, a data set or a case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import UserError
from .places import project_root, shown

commands = typer.Typer(help="Write the skeleton of a system, a data set or a case.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Lower-case letters, digits and _; it becomes a folder.")]
Parent = Annotated[
    Path | None,
    typer.Option(
        "--in", metavar="DIR", help="The folder to write into; in the project impls/ or datasets/, else here."
    ),
]


@commands.command("system")
def system(
    name: Name,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="NAME", help="What its example runs on.")
    ] = None,
    parent: Parent = None,
) -> None:
    """Write a system: claims, a case and three implementations that run as they are."""
    from ..declared.registry import registry
    from ..new import new_system

    found = registry()
    if not found.datasets:
        raise UserError("there is no data set to run on; say `remeasure new dataset NAME` first.")
    card = found.dataset(dataset) if dataset else next(iter(found.datasets.values()))
    _say(new_system(name, parent or _parent("impls"), card), "REMEASURE_SYSTEMS", name)


@commands.command("dataset")
def dataset(name: Name, parent: Parent = None) -> None:
    """Write a data set: its card and a loader with a simulator."""
    from ..new import new_dataset

    _say(new_dataset(name, parent or _parent("datasets")), "REMEASURE_DATASETS", name)


@commands.command("case")
def case(
    name: Annotated[str, typer.Argument(metavar="SYSTEM/NAME", help="The system, and the new case.")],
) -> None:
    """Add a case to a system: to its cases.py or its folder cases/."""
    from ..declared.registry import registry
    from ..new import new_case

    owner, slash, case_name = name.partition("/")
    if not slash:
        raise UserError(f"{name!r} names no system; write SYSTEM/NAME.")
    path = new_case(registry().system(owner), case_name)
    typer.echo(f"Written to {shown(path)}; see it with `remeasure describe {name}`.")


def _parent(folder: str) -> Path:
    root = project_root()
    return root / folder if root else Path.cwd()


def _say(written: Path, variable: str, name: str) -> None:
    """Where it is; outside the project also how it is found."""
    typer.echo(f"Written: {shown(written)}.")
    if project_root() is None:
        typer.echo(
            f"It is found when its package is on PYTHONPATH and {variable} names it, e.g. {variable}={name}."
        )
    else:
        typer.echo(f"See it with `remeasure describe {name}`.")
