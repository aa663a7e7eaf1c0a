"""Modules and paths that are named by strings, which no checker of imports sees: all of them are there."""

from __future__ import annotations

import ast
import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from remeasure.package import PACKAGE
from remeasure.records.provenance import MEASURING

ROOT = Path(__file__).parents[2]
MODULE = re.compile(r"remeasure(\.[a-z_]\w*)+")
GROUPS = {"remeasure.systems", "remeasure.datasets"}
"""Groups of entry points: names of the same look that are no modules."""


def sources() -> Iterator[Path]:
    for folder in ("src", "impls", "datasets", "benchmarks"):
        yield from (path for path in sorted((ROOT / folder).rglob("*.py")) if "__pycache__" not in path.parts)


def modules_named_in(code: str) -> list[str]:
    """Strings that are as a whole the dotted name of something in the package."""
    nodes = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))
    return [node.value for node in nodes if isinstance(node.value, str) and MODULE.fullmatch(node.value)]


def paths_named_in(code: str) -> list[Path]:
    """`PACKAGE / "a" / "b"`, the longest of each such expression; parts that are no strings end it."""
    found = []
    for node in ast.walk(ast.parse(code)):
        parts: list[str] = []
        inner: ast.expr | None = node if isinstance(node, ast.BinOp) else None
        while isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Div):
            parts = [inner.right.value, *parts] if isinstance(inner.right, ast.Constant) else []
            inner = inner.left
        if parts and isinstance(inner, ast.Name) and inner.id == "PACKAGE":
            found.append(PACKAGE.joinpath(*parts))
    return found


def is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def test_every_module_that_a_string_names_is_there() -> None:
    named = {name for path in sources() for name in modules_named_in(path.read_text())} - GROUPS
    assert "remeasure.running.worker" in named
    assert [name for name in sorted(named) if not is_there(name)] == []


def test_every_path_inside_the_package_is_there() -> None:
    named = {path for source in sources() for path in paths_named_in(source.read_text())}
    assert PACKAGE / "judging" / "coverage.json" in named
    assert all((PACKAGE / "running" / name).is_file() for name in MEASURING)
    assert [path.relative_to(PACKAGE) for path in sorted(named) if not path.exists()] == []


def test_only_one_place_knows_where_the_package_lies() -> None:
    links = (PACKAGE / "impls", PACKAGE / "datasets")
    own = [path for path in PACKAGE.rglob("*.py") if not any(link in path.parents for link in links)]
    asking = [path.name for path in own if "Path(__file__)" in path.read_text()]
    assert sorted(asking) == ["contract_checks.py", "package.py"]  # the checks hash themselves


def test_what_other_files_run_by_name_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [target.partition(":")[0] for target in project["project"]["scripts"].values()]
    for file in ("Makefile", ".pre-commit-config.yaml", "CONTRIBUTING.md", "README.md"):
        names += re.findall(r"-m (remeasure(?:\.\w+)*)", (ROOT / file).read_text())
    assert "remeasure.asv_matrix" in names
    assert [name for name in names if not is_there(name)] == []


@pytest.mark.parametrize(
    ("code", "modules"),
    [
        ('x = "remeasure.worker"', ["remeasure.worker"]),
        ('run("-m", "remeasure.running.worker")', ["remeasure.running.worker"]),
        ('x = "see remeasure.worker"', []),
    ],
)
def test_a_module_in_a_string_is_seen(code: str, modules: list[str]) -> None:
    assert modules_named_in(code) == modules
    assert not is_there("remeasure.worker") and not is_there("remeasure.measure.deep")


def test_a_path_in_an_expression_is_seen() -> None:
    code = '(PACKAGE / "measure.py").read_bytes(); PACKAGE / kind / "x"; other / "y"'
    assert paths_named_in(code) == [PACKAGE / "measure.py"]
