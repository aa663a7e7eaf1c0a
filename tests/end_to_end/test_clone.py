"""What a clone of the project writes down of itself: its commit, no path of the machine; a blunder there is silent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from remeasure.records.record import Record
from remeasure.records.store import Store
from toy.env import variables

ROOT = Path(__file__).parents[2]
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *IDENTITY, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as it is now, committed in a repository of its own."""
    folder = tmp_path_factory.mktemp("clone") / "remeasure"
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    for name in filter(None, listed):
        if (ROOT / name).exists() and not name.startswith("results/"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "as it is")
    return folder


def run(clone: Path, tmp_path: Path, *selected: str) -> Record:
    """The record of the one block that is selected, measured by the clone's code."""
    path = os.pathsep.join([str(clone / "src"), str(clone / "tests")])
    environment = {**os.environ, **variables(tmp_path / "cache"), "PYTHONPATH": path}
    command = [sys.executable, "-m", "remeasure", "run", "--results", str(tmp_path / "results"), *selected]
    subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    (record,) = Store(tmp_path / "results").read_all()
    return record


def test_a_record_made_in_a_clone_has_its_commit_and_a_clean_tree(clone: Path, tmp_path: Path) -> None:
    record = run(clone, tmp_path, "--system", "toysys", "--case", "prediction", "--seed", "1")
    assert record.status == "ok"
    assert re.fullmatch("[0-9a-f]{40}", record.provenance.commit)
    assert record.provenance.commit == git(clone, "rev-parse", "HEAD").strip()
    assert record.provenance.dirty == ""


def test_the_traceback_of_a_failure_holds_no_absolute_path(clone: Path, tmp_path: Path) -> None:
    record = run(clone, tmp_path, "--system", "faulty", "--seed", "1", "--set", "fault=raise")
    assert record.failure is not None
    assert "planted fault" in record.failure.traceback
    assert 'File "remeasure/running/measure.py"' in record.failure.traceback
    for text in (record.failure.message, record.failure.traceback, record.failure.log_tail):
        assert not re.search(r"(?<![\w.~)\]])/[A-Za-z]", text), text
