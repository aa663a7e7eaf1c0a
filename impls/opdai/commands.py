"""What OPDAI can do beside being measured: a submission, run files, and the choice of its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from remeasure.contracts import Command, Workspace
from remeasure.datasets.xmrec.request import Request
from remeasure.errors import UserError

FIELDS = ("target", "lists")


def _data(space: Workspace, **request: Any) -> Any:
    unknown = sorted(set(space.settings) - set(FIELDS))
    if unknown:
        raise UserError(f"this command has no setting {unknown[0]!r}; it has {', '.join(FIELDS)}.")
    return space.load("xmrec", Request(**{**request, **space.settings}))


def _submit(space: Workspace) -> Sequence[Path]:
    from .predict import submit

    return submit(_data(space), space.out, report=space.report)


def _runs(space: Workspace) -> Sequence[Path]:
    from .predict import export_runs

    return export_runs(_data(space), space.out, report=space.report)


def _select(space: Workspace) -> Sequence[Path]:
    from .runs.tuning import REQUEST, select, write

    return [
        write(select(_data(space, lists=REQUEST.lists, seed=REQUEST.seed), report=space.report), space.out)
    ]


COMMANDS = (
    Command(
        "submit", "Write the competition's files for a target: valid_pred.tsv and test_pred.tsv.", _submit
    ),
    Command("runs", "Write one TREC run file an arm, and the judged pairs as a qrel.", _runs),
    Command(
        "select",
        "Judge the trials of both systems on held-out training pairs; write selection.json.",
        _select,
    ),
)
