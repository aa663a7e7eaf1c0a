"""Which files of `impls/common` a system reaches by its imports, so that only they can make its records stale."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
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


def _imported(path: Path, common: Path) -> Iterator[Path]:
    inside = common in path.parents
    for node in ast.walk(ast.parse(path.read_bytes())):
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
                file = common.joinpath(*name.removeprefix(f"{COMMON}.").split(".")).with_suffix(".py")
                if file.is_file():
                    yield file
