"""The house's rules as import-linter's contracts, and the linter run on them without leaving a cache behind."""

from __future__ import annotations

import graphlib
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import grimp
import pytest

FLOORS = (
    ("cli", "api", "new", "doctor", "asv_matrix", "__main__"),
    ("report",),
    ("judging",),
    ("running",),
    ("data",),
    ("records",),
    ("declared",),
    ("contracts", "struct", "processes", "errors", "package"),
)
"""Rooms of the harness, top to bottom; an import goes down only, or stays on its floor."""
KNOWN_TO_SYSTEMS = ("contracts", "errors")
OUTSIDE = ("impls", "datasets")

Contract = dict[str, object]


def contracts(root: str, systems: Sequence[str]) -> list[Contract]:
    """The rules of a package `root` whose systems are the folders named so in `root.impls`."""
    rooms = [f"{root}.{room}" for floor in FLOORS for room in floor]
    hidden = [room for room in rooms if room.rpartition(".")[2] not in KNOWN_TO_SYSTEMS]
    impls, datasets = (f"{root}.{name}" for name in OUTSIDE)
    rules: list[Contract] = [
        {
            "name": "an import goes down only",
            "type": "layers",
            "containers": [root],
            "layers": [" : ".join(floor) for floor in FLOORS],
            "exhaustive": True,
            "exhaustive_ignores": list(OUTSIDE),
        },
        forbidden("the harness knows no system and no data set", rooms, [impls, datasets]),
        forbidden("systems and data sets know the harness by its contracts", [impls, datasets], hidden),
        forbidden("data sets know no system", [datasets], [impls]),
        forbidden(
            "what systems share knows none of them",
            [f"{impls}.common"],
            [f"{impls}.{name}" for name in systems],
        ),
    ]
    if len(systems) > 1:
        rules.append(
            {
                "name": "systems do not import each other",
                "type": "independence",
                "modules": [f"{impls}.{name}" for name in systems],
            }
        )
    return rules


def forbidden(name: str, sources: list[str], imported: list[str]) -> Contract:
    return {"name": name, "type": "forbidden", "source_modules": sources, "forbidden_modules": imported}


def broken(root: str, systems: Sequence[str], folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What import-linter says of broken rules, imports for type checkers included; empty if all are kept."""
    from importlinter.cli import lint_imports

    config = folder / "contracts.toml"
    config.write_text(_toml(root, contracts(root, systems)), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", list(sys.path))  # the linter puts its folder there
        code = lint_imports(config_filename=str(config), no_cache=True, no_logo=True)
    said = capsys.readouterr().out
    return said if code else ""


def loops(root: str) -> list[str]:
    """Modules of the first loop of imports, in its order; empty if there is none."""
    graph = grimp.build_graph(root, cache_dir=None)
    try:
        modules = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
        graphlib.TopologicalSorter(modules).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def _toml(root: str, rules: Iterable[Contract]) -> str:
    """As TOML: strings, booleans and lists of strings are written as in JSON."""
    parts = [
        f"[tool.importlinter]\nroot_package = {json.dumps(root)}\nexclude_type_checking_imports = false\n"
    ]
    parts += [
        "[[tool.importlinter.contracts]]\n"
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
        for rule in rules
    ]
    return "\n".join(parts)
