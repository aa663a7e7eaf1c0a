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
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise UserError(f"this command has no setting {name!r}; {has}.")
    return dict(space.settings)


def _insert(space: Workspace) -> Sequence[Path]:
    from .zoo_commands import insert

    return insert(space, **_settings(space, "zoo", "family", "model"))


def _list(space: Workspace) -> Sequence[Path]:
    from .zoo_commands import list_models

    return list_models(space, **_settings(space, "zoo"))


def _verify(space: Workspace) -> Sequence[Path]:
    from .zoo_commands import verify

    return verify(space, **_settings(space, "zoo"))


def _tune(space: Workspace) -> Sequence[Path]:
    from remeasure.datasets.azure_llm_2023.loader import Request

    from .runs.tuning import tune_systems, write
    from .tuned import UNTUNED

    asked = _settings(space, "systems").get("systems", ",".join(UNTUNED))
    names = [name.strip() for name in asked.split(",")]
    data = space.load("azure_llm_2023", Request())
    return [write(tune_systems(names, data, data.label, space.report), space.out)]


def _costs(space: Workspace) -> Sequence[Path]:
    from .sim.cost.derive import main

    _settings(space)
    return main(space.out)


COMMANDS = (
    Command(
        "insert",
        "Store a model (--set model=NAME or all) of a family (family=smollm2, bytes or micro) in a zoo (zoo=DIR, else "
        "zoo in the folder of --out); say what was new and what was there. A variant is trained when it is first asked "
        "for: minutes each for smollm2.",
        _insert,
    ),
    Command(
        "list",
        "The models of a zoo (--set zoo=DIR): what each has of its own and what it shares, in MB and in segments.",
        _list,
    ),
    Command(
        "verify",
        "Hash every object of a zoo (--set zoo=DIR) again and check every chain; a damaged file is named with the "
        "blocks and models that need it.",
        _verify,
    ),
    Command(
        "tune",
        "Try thirty settings for every serving system, or for some (--set systems=llumnix,alpaserve; what is recorded "
        "of the others stays); write cluster_tuning.json. Minutes for each system.",
        _tune,
    ),
    Command(
        "costs",
        "Make tables.csv and tables.toml anew from an installed aiconfigurator-core 0.12.0; about 10 s.",
        _costs,
    ),
)
