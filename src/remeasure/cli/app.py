"""The `remeasure` command: its commands, and how any error becomes one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from .. import __version__
from ..errors import UserError
from . import compare, dataset, describe, do, exits, export, look, new, report, running, upkeep

app = typer.Typer(
    name="remeasure",
    help="Papers claim. remeasure measures again, on your machine, and says claim by claim what held.",
    epilog="\b\nExit codes:\n" + exits.table(),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("list")(look.list_)
app.command("describe")(describe.describe)
app.command("plan")(look.plan)
app.command("run")(running.run)
app.command("claims")(look.claims)
app.command("show")(report.show)
app.command("compare")(compare.compare)
app.command("report")(report.report)
app.command("export")(export.export)
app.command("do")(do.do)
app.add_typer(dataset.commands, name="dataset")
app.add_typer(new.commands, name="new")
app.command("clean")(upkeep.clean)
app.command("doctor")(upkeep.doctor)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """What stands before a command; --version acts by itself."""


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and prints no traceback for anything a user can cause."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (closed by whoever called: nobody wants to read it)
    if sys.stdout is None:
        return _refuse("standard output is closed; send it to /dev/null if nobody shall read it.")
    try:
        code = app(
            args=None if arguments is None else list(arguments), prog_name="remeasure", standalone_mode=False
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else exits.OK
    except UserError as error:
        return _refuse(str(error))
    except typer.TyperException as error:
        return _refuse(f"{error.format_message().rstrip('.')}; see `remeasure --help`.")
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("remeasure: interrupted.", err=True)
        return exits.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has gone (`| head`); what is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.OK
    except OSError as error:
        if error.filename is None:
            # What is printed has no name; what is still buffered goes nowhere, or Python would say it once more.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        what = error.filename or "standard output or a temporary file cannot be written"
        return _refuse(f"{what}: {error.strerror or error}; mend that and say the same again.")


def _refuse(sentence: str) -> int:
    with suppress(OSError):  # standard error may be as full
        typer.echo(f"remeasure: {' '.join(sentence.split())}", err=True)
    return exits.BAD_INPUT
