"""Rooms whose imports go down only, systems that do not know each other, no loop anywhere; and every planted fault."""

from __future__ import annotations

import itertools
import re
import sys
from pathlib import Path

import pytest
from house.contracts import FLOORS, broken, loops

from remeasure.declared.registry import registry
from remeasure.package import PACKAGE

ROOT = "remeasure"


def test_the_rooms_and_systems_keep_the_rules(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMEASURE_SYSTEMS", "")
    systems = [name for name, system in registry().systems.items() if system.package.startswith(f"{ROOT}.")]
    assert len(systems) >= 3
    assert broken(ROOT, systems, tmp_path, capsys) == ""


def test_no_file_imports_another_in_a_loop() -> None:
    assert loops(ROOT) == []


def test_shared_code_is_imported_by_its_full_name_as_the_fingerprint_looks_for_it() -> None:
    relative = re.compile(r"^\s*from \.\.+common\b|^\s*from \.\. import .*\bcommon\b", re.MULTILINE)
    for path in (PACKAGE / "impls").rglob("*.py"), (PACKAGE / "datasets").rglob("*.py"):
        assert [file.name for file in path if relative.search(file.read_text())] == []


def test_few_modules_stand_outside_the_rooms() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_checking_leaves_no_cache_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = house(tmp_path, {})
    broken(root, ("a", "b"), tmp_path, capsys)
    loops(root)
    assert {path.name for path in tmp_path.iterdir()} == {root, "contracts.toml"}


NUMBERS = itertools.count()


def house(folder: Path, files: dict[str, str]) -> str:
    """A small package with all rooms and two systems, and what a test puts in; its name is new each time."""
    root = f"house{next(NUMBERS)}"
    plain = ["__init__", *(f"{room}/__init__" for floor in FLOORS for room in floor)]
    plain += [
        "impls/__init__",
        "impls/common/__init__",
        "impls/a/__init__",
        "impls/b/__init__",
        "impls/b/models",
    ]
    plain += ["datasets/__init__", "datasets/d/__init__"]
    for name in plain:
        path = folder / root / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, text in files.items():
        (folder / root / name).write_text(text.replace("ROOT", root))
    sys.path.insert(0, str(folder))
    return root


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_house_that_keeps_the_rules_is_let_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "report/x.py": "from ..judging import x",
        "judging/x.py": "from ROOT.contracts import y",
        "impls/a/x.py": "from ROOT.contracts import y\nfrom ..common import z\nfrom ROOT.datasets.d import w",
    }
    assert broken(house(tmp_path, files), ("a", "b"), tmp_path, capsys) == ""


@pytest.mark.parametrize(
    "line",
    [
        "import ROOT.impls.b.models",
        "from ROOT.impls.b import models",
        "from ROOT.impls import b",
        "from ..b.models import x",
        "from .. import b",
        "def f():\n    from ..b import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..b import x",
        "from ..common import x",
    ],
)
def test_an_import_of_another_system_is_seen_however_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    root = house(tmp_path, {"impls/a/x.py": line, "impls/common/x.py": "from ..b import models"})
    said = broken(root, ("a", "b"), tmp_path, capsys)
    assert "systems do not import each other BROKEN" in said or "shares knows none" in said
    if "common" not in line:
        assert f"{root}.impls.a.x -> {root}.impls.b" in said


@pytest.mark.parametrize(
    ("file", "line", "rule"),
    [
        ("judging/x.py", "from ..report import y", "an import goes down only"),
        ("declared/x.py", "def f():\n    from ROOT.records import y", "an import goes down only"),
        (
            "data/x.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ..running import y",
            "an import goes down only",
        ),
        ("struct/x.py", "from ..declared import y", "an import goes down only"),
        ("running/x.py", "from ..impls.a import y", "the harness knows no system"),
        ("cli/x.py", "def f():\n    import ROOT.datasets.d", "the harness knows no system"),
        ("impls/a/x.py", "from ROOT.records import y", "know the harness by its contracts"),
        ("datasets/d/x.py", "from ROOT.data import y", "know the harness by its contracts"),
        ("datasets/d/x.py", "from ROOT.impls.common import y", "data sets know no system"),
        ("impls/common/x.py", "from ROOT.impls.a import y", "what systems share knows none of them"),
    ],
)
def test_a_planted_import_breaks_its_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, line: str, rule: str
) -> None:
    said = broken(house(tmp_path, {file: line}), ("a", "b"), tmp_path, capsys)
    assert any(rule in said_line and "BROKEN" in said_line for said_line in said.splitlines()), said


def test_a_room_that_no_floor_names_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = house(tmp_path, {"helpers.py": ""})
    assert "helpers" in broken(root, ("a", "b"), tmp_path, capsys)


@pytest.mark.parametrize(
    "back",
    [
        "from .x import x",
        "def f():\n    from .x import x",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import x",
    ],
)
def test_a_planted_loop_is_found(tmp_path: Path, back: str) -> None:
    root = house(tmp_path, {"impls/b/x.py": "from .y import y", "impls/b/y.py": back})
    assert set(loops(root)) == {f"{root}.impls.b.x", f"{root}.impls.b.y"}
