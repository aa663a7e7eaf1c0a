"""What BlockLLM can do beside being measured: keep a zoo, tune the cluster's systems, make the cost tables anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from remeasure.contracts import Command, Workspace
from remeasure.errors import UserError


def _settings(space: Workspace, *known: str) -> dict[str, str]:
    """The settings, all of them known."""
    for name in space.settings:
        if name not in known:
            has = f"it has {' and '.join(known)}" if known else "it has none"
            raise UserError(f"this command has no setting {name!r}; {has}.")
    return dict(space.settings)


def _tune(space: Workspace) -> Sequence[Path]:
    from remeasure.datasets.azure_llm_2023.loader import Request

    from .tuned import tune_all, write

    _settings(space)
    data = space.load("azure_llm_2023", Request())
    return [write(tune_all(data, data.label, space.report), space.out)]


def _costs(space: Workspace) -> Sequence[Path]:
    from .sim.cost.derive import main

    _settings(space)
    return main(space.out)


COMMANDS = (
    Command(
        "tune",
        "Try batch, copies and queue for PM, PS and BlockLLM alike; write cluster_tuning.json. Some minutes.",
        _tune,
    ),
    Command(
        "costs",
        "Make tables.csv and tables.toml anew from an installed aiconfigurator-core 0.12.0; about 10 s.",
        _costs,
    ),
)
