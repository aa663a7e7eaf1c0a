"""Which files of `impls/common` a system reaches by its imports, so that only they can make its records stale."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

COMMON = "remeasure.impls.common"


def reached(folders: Iterable[Path], common: Path) -> list[Path]:
    """Files of `common` that the code in `folders` imports, directly or through another such file, sorted."""
    found: set[Path] = set()
    waiting = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    while waiting:
        for path in _imported(waiting.pop(), common):
            if path not in found:
                found.add(path)
                waiting.append(path)
    return sorted(found)


def _imported(path: Path, common: Path) -> list[Path]:
    return [file for file in _named(path.read_bytes(), common, common in path.parents) if file.is_file()]


@lru_cache(maxsize=4096)
def _named(code: bytes, common: Path, inside: bool) -> tuple[Path, ...]:
    """Files that the imports of a module may mean, whether or not they are there; parsed once: every case asks."""
    return tuple(_meant(ast.parse(code), common, inside))


def _meant(tree: ast.Module, common: Path, inside: bool) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (not node.level or (inside and node.level == 1)):
            module = ".".join(filter(None, (COMMON if node.level else "", node.module)))
            # `from package import module` and `from module import name` are told apart by what exists.
            names = [module, *(f"{module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:
            if name.startswith(f"{COMMON}."):
                yield common.joinpath(*name.removeprefix(f"{COMMON}.").split(".")).with_suffix(".py")
