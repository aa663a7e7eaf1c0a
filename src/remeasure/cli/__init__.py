"""The command line: one file a group of commands. Commands import what they need, so `--help` is quick."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with one of the exit codes of `exits`."""
    from .app import run

    raise SystemExit(run(arguments))
