"""constraints.txt is the one lock: complete, free of this machine, and followed by asv's matrix."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

from remeasure.asv_matrix import FILES, matrix, normal, with_matrix
from remeasure.doctor import locks

ROOT = Path(__file__).parents[2]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKED = {normal(name): version for name, version in locks(CONSTRAINTS).items()}


def test_every_line_locks_one_plain_version() -> None:
    for line in CONSTRAINTS.splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", line), line


def test_the_lock_has_no_local_versions_paths_addresses_or_this_project() -> None:
    assert not re.search(r"\+|/|@|^-", CONSTRAINTS.split("\n", 2)[2], re.MULTILINE)
    assert "remeasure" not in LOCKED


def test_every_requirement_is_locked() -> None:
    project = PYPROJECT["project"]
    stated = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = {normal(re.split(r"[=<>\[; ]", one)[0]) for one in stated}
    assert names - set(LOCKED) == set()


def test_exact_requirements_agree_with_the_lock() -> None:
    for stated in PYPROJECT["project"]["optional-dependencies"]["dev"]:
        name, exact, version = stated.partition("==")
        assert not exact or LOCKED[normal(name)] == version


def test_the_matrix_of_asv_follows_the_lock() -> None:
    current = (ROOT / "asv.conf.json").read_text()
    assert with_matrix(current, *((ROOT / name).read_text() for name in FILES)) == current, (
        "run `python -m remeasure.asv_matrix`"
    )


def test_a_changed_lock_is_seen_in_the_matrix() -> None:
    pyproject = (ROOT / "pyproject.toml").read_text()
    changed = CONSTRAINTS.replace(f"numpy=={LOCKED['numpy']}", "numpy==0.0.1")
    assert matrix(pyproject, changed)["numpy"] == ["0.0.1"]
    assert matrix(pyproject, CONSTRAINTS)["numpy"] == [LOCKED["numpy"]]


@pytest.mark.parametrize(("needed", "by"), [("numpy", "scipy"), ("scipy", "lightgbm"), ("sympy", "torch")])
def test_what_a_package_needs_is_installed_before_it(needed: str, by: str) -> None:
    order = list(json.loads((ROOT / "asv.conf.json").read_text())["matrix"]["req"])
    assert order.index(needed) < order.index(by)


def test_torch_is_locked_for_asv_as_well() -> None:
    assert json.loads((ROOT / "asv.conf.json").read_text())["matrix"]["req"]["torch"] == [LOCKED["torch"]]
