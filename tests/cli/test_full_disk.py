"""A full disk at any write: one sentence, nothing half-written. A limit on the size of files stands for the disk."""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .conftest import Cli, is_refusal

TINY = ("--system", "toysys", "--profile", "tiny")
PREDICTION = ("--system", "toysys", "--case", "prediction", "--profile", "tiny")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file of this process and its children grows beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


WRITING = {
    "report": ("report", *TINY),
    "site elsewhere": ("report", *TINY, "--out", "elsewhere"),
    "csv": ("export", "--out", "x.csv"),
    "parquet": ("export", "--format", "parquet", "--out", "x.parquet"),
    "a system": ("new", "system", "mine"),
    "a data set": ("new", "dataset", "mine"),
}


@pytest.mark.parametrize("room", [0, 100])
@pytest.mark.parametrize("command", WRITING.values(), ids=WRITING.keys())
def test_nothing_is_half_written(cli: Cli, tmp_path: Path, command: tuple[str, ...], room: int) -> None:
    for name in ("impls", "datasets"):
        (tmp_path / name).mkdir()
    assert cli("run", *PREDICTION).code == 0
    before = files(tmp_path)
    with room_for(room):
        said = cli(*command)
    assert said.code == 2, said
    assert said.err.count("\n") == 1 and said.err.startswith("remeasure: "), said.err
    assert "standard output" not in said.err
    assert files(tmp_path) == before
    assert cli(*command).code == 0


def test_a_case_is_added_whole_or_not_at_all(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "crammed").mkdir()
    (tmp_path / "crammed" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    cli("new", "system", "mine", "--dataset", "toydata", "--in", "crammed")
    monkeypatch.setenv("REMEASURE_SYSTEMS", "crammed.mine")
    before = files(tmp_path)
    with room_for(100):
        said = cli("new", "case", "mine/second-question")
    assert is_refusal(said) and "cases.py cannot be written" in said.err
    assert files(tmp_path) == before


@pytest.mark.parametrize("room", [0, 1000, 4000])
def test_a_run_keeps_only_whole_records_and_can_go_on(cli: Cli, tmp_path: Path, room: int) -> None:
    with room_for(room):
        said = cli("run", *PREDICTION)
    assert said.code == 2, said
    *_, last = said.err.splitlines()
    assert last.startswith("remeasure: ") and "Traceback" not in said.err
    for path in (tmp_path / "remeasure-results").rglob("*.json"):
        json.loads(path.read_bytes())
    assert not list(tmp_path.rglob("*.tmp"))
    assert cli("run", *PREDICTION).code == 0
