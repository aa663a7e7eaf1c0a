"""The wheel holds everything that code reads: the linked folders, data cards, claims, templates."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEFT_OUT = {"__pycache__", ".mypy_cache", ".ruff_cache"}
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE", "src", "impls", "datasets")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names inside a wheel that was built from a copy of the tree, offline."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, tree / name, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT, "*.egg-info")
            )
        else:
            shutil.copy2(source, tree / name)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*command, "-w", str(out), str(tree)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("remeasure-*.whl")
    return set(zipfile.ZipFile(path).namelist())


def files(folder: Path, *suffixes: str) -> set[Path]:
    """Files below a folder with one of the endings."""
    found = (path for suffix in suffixes for path in folder.rglob(f"*{suffix}"))
    return {path.relative_to(folder) for path in found if not LEFT_OUT & set(path.parts)}


@pytest.mark.parametrize("folder", ["impls", "datasets"])
def test_every_file_of_systems_and_data_sets_is_in_the_wheel(wheel: set[str], folder: str) -> None:
    wanted = {
        f"remeasure/{folder}/{path.as_posix()}"
        for path in files(ROOT / folder, ".py", ".toml", ".json", ".csv", ".md")
    }
    assert wanted
    assert wanted - wheel == set()


def test_every_file_of_the_harness_is_in_the_wheel(wheel: set[str]) -> None:
    suffixes = (".py", ".j2", ".css", ".js", "py.typed")
    wanted = {f"remeasure/{path.as_posix()}" for path in files(ROOT / "src" / "remeasure", *suffixes)}
    assert any(name.endswith(".j2") for name in wanted)
    assert wanted - wheel == set()


def test_nothing_but_the_package_is_in_the_wheel(wheel: set[str]) -> None:
    tops = {name.split("/")[0] for name in wheel}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"remeasure"}


def test_the_command_is_declared(wheel: set[str]) -> None:
    assert any(name.endswith(".dist-info/entry_points.txt") for name in wheel)
