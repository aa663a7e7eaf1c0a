"""What FlexServe can do beside being measured: predict figures it was not calibrated with, tune the host."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remeasure.contracts import Command, Workspace
from remeasure.datasets.ondevice.loader import Request
from remeasure.errors import UserError


def _predictions(space: Workspace) -> Sequence[Path]:
    from .figures import nominal
    from .predictions import DRAWS, SEED, table, write

    chosen = {"draws": DRAWS, "seed": SEED}
    for name, text in space.settings.items():
        if name not in chosen:
            raise UserError(f"this command has no setting {name!r}; it has {' and '.join(chosen)}.")
        if not text.isdecimal() or (name == "draws" and int(text) < 1):
            raise UserError(f"{name} must be a whole number above 0, not {text!r}.")
        chosen[name] = int(text)
    setting = nominal(space.load("ondevice", Request()))
    return write(table(setting, chosen["draws"], chosen["seed"], space.report), setting, space.out)


def _tune(space: Workspace) -> Sequence[Path]:
    from remeasure.datasets.wikitext2.loader import Request as Passages

    from .runs.tuning import tune, write

    if space.settings:
        raise UserError(f"this command has no setting {next(iter(space.settings))!r}; it has none.")
    data = space.load("wikitext2", Passages(split="valid", passages=8))
    return [write(tune(data.passages, data.label, space.report), space.out)]


COMMANDS = (
    Command(
        "predictions",
        "Predict Figures 7 to 11 with intervals, a trivial rule beside them; 1,000 draws take some minutes.",
        _predictions,
    ),
    Command(
        "tune",
        "Try threads and grain for pipeline and baseline on this host; write host_tuning.json.",
        _tune,
    ),
)
