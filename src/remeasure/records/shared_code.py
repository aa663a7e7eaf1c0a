"""Which shared files a system or data set reaches by its imports, so that only they can make its records stale."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

ROOT = "remeasure"
SHARED = ("impls.common", "datasets.common")
"""Packages of this one that systems and data sets share, imported by their full names."""


def reached(folders: Iterable[Path], package: Path) -> list[Path]:
    """Shared files below `package` that the code in `folders` imports, directly or through another one, sorted."""
    found: set[Path] = set()
    waiting = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    while waiting:
        for path in _imported(waiting.pop(), package):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found)


def _imported(path: Path, package: Path) -> list[Path]:
    around = next((name for name in SHARED if package.joinpath(*name.split(".")) in path.parents), "")
    return [file for file in _named(path.read_bytes(), package, around) if file.is_file()]


@lru_cache(maxsize=4096)
def _named(code: bytes, package: Path, around: str) -> tuple[Path, ...]:
    """Files that the imports of a module may mean, whether or not they are there; parsed once: every case asks."""
    return tuple(_meant(ast.parse(code), package, around))


def _meant(tree: ast.Module, package: Path, around: str) -> Iterator[Path]:
    """around: the shared package that the module stands in, which its relative imports begin from; else empty."""
    here = f"{ROOT}.{around}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (not node.level or (around and node.level == 1)):
            module = ".".join(filter(None, (here if node.level else "", node.module)))
            # `from package import module` and `from module import name` are told apart by what exists.
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            inner = name.removeprefix(f"{ROOT}.")
            if name.startswith(tuple(f"{ROOT}.{shared}." for shared in SHARED)):
                yield package.joinpath(*inner.split(".")).with_suffix(".py")
