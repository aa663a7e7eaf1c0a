"""`new`: every skeleton passes the contract and the linter as it is, and one place is touched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from remeasure.declared.registry import registry
from remeasure.running.contract_checks import check_case, check_dataset

from .conftest import Cli, is_refusal


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An empty package of its own for each test, because Python remembers what it imported."""
    name = "fresh_" + "".join(letter for letter in request.node.name if letter.isalnum()).lower()
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    return name


def problems(system: str) -> list[str]:
    found = registry()
    return [problem for case in found.system(system).cases.values() for problem in check_case(found, case)]


def lint(folder: Path) -> str:
    """What ruff says; the order of imports depends on which packages are a project's own, so it is left out."""
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F,UP,B,SIM,RUF"]
    done = subprocess.run([*command, "--line-length", "110", "."], cwd=folder, capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout


def test_a_new_system_passes_the_contract_and_runs(
    cli: Cli, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("new", "system", "mine", "--dataset", "toydata", "--in", package).code == 0
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"{package}.mine")
    assert problems("mine") == []
    assert lint(tmp_path / package) == ""
    said = cli("run", "--system", "mine")
    assert said.code == 0
    claims = json.loads(cli("run", "--system", "mine", "--json").out)["claims"]
    assert [claim["id"] for claim in claims] == ["fewer-additions"]


def test_a_new_data_set_passes_the_contract_and_serves_a_new_system(
    cli: Cli, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("new", "dataset", "numbers", "--in", package).code == 0
    monkeypatch.setenv("REMEASURE_DATASETS", f"{package}.numbers")
    monkeypatch.setenv("REMEASURE_SYSTEMS", "")
    assert check_dataset(registry().dataset("numbers")) == []
    assert cli("new", "system", "user", "--dataset", "numbers", "--in", package).code == 0
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"{package}.user")
    assert problems("user") == []
    assert lint(tmp_path / package) == ""


def test_a_new_case_begins_as_a_copy_that_runs(
    cli: Cli, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("new", "system", "mine", "--dataset", "toydata", "--in", package)
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"{package}.mine")
    assert cli("new", "case", "mine/second-question").code == 0
    code = """
from remeasure.running.contract_checks import check_case
from remeasure.declared.registry import registry
found = registry()
cases = found.system("mine").cases
print(list(cases), [check_case(found, case) for case in cases.values()])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(tmp_path)
    )
    assert done.stdout.strip() == "['sum-of-numbers', 'second-question'] [[], []]", done.stderr
    assert lint(tmp_path / package) == ""
    assert is_refusal(cli("new", "case", "mine/sum-of-numbers"))


def test_a_new_case_of_a_folder_of_cases_is_a_file_of_its_own(
    cli: Cli, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("new", "system", "mine", "--dataset", "toydata", "--in", package)
    folder = tmp_path / package / "mine"
    (folder / "cases").mkdir()
    (folder / "cases.py").rename(folder / "cases" / "sums.py")
    moved = (folder / "cases" / "sums.py").read_text().replace("from .", "from ..")
    (folder / "cases" / "sums.py").write_text(moved)
    (folder / "cases" / "__init__.py").touch()
    monkeypatch.setenv("REMEASURE_SYSTEMS", f"{package}.mine")
    said = cli("new", "case", "mine/second-question")
    assert said.code == 0 and "cases/second_question.py" in said.out
    listed = subprocess.run(
        [sys.executable, "-m", "remeasure", "list", "cases", "--system", "mine"],
        capture_output=True,
        text=True,
        env=environment(tmp_path),
    )
    assert "mine/second-question" in listed.stdout, listed.stderr
    assert lint(folder) == ""
    assert is_refusal(cli("new", "case", "mine/second-question"))


def environment(tmp_path: Path) -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": ":".join([str(tmp_path), *filter(None, sys.path)])}


@pytest.mark.parametrize("name", ["Mine", "1st", "a-b", "class", "../x", ""])
def test_a_name_that_cannot_be_a_package_is_refused(cli: Cli, name: str, tmp_path: Path) -> None:
    assert is_refusal(cli("new", "system", "--", name))
    assert is_refusal(cli("new", "dataset", "--", name))
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_over(cli: Cli, tmp_path: Path) -> None:
    assert cli("new", "dataset", "numbers").code == 0
    (tmp_path / "numbers" / "loader.py").write_text("mine")
    assert is_refusal(cli("new", "dataset", "numbers"))
    assert (tmp_path / "numbers" / "loader.py").read_text() == "mine"


def test_a_case_needs_its_system(cli: Cli) -> None:
    assert is_refusal(cli("new", "case", "lonely"))
    assert is_refusal(cli("new", "case", "toysi/lonely"))
