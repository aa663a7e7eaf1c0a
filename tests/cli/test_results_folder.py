"""Folders of results that do not take a record: one sentence, exit 2, and what was finished stays."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from obeying_modes import obeying_modes

from .conftest import Cli
from .test_full_disk import files, room_for

RUN = ("run", "--system", "toysys", "--case", "prediction", "--profile", "tiny")
RESULTS = Path("remeasure-results")


def records(folder: Path = RESULTS) -> list[Path]:
    return sorted((folder / "runs").glob("toysys/*/*.json"))


def test_a_disk_that_is_full_when_a_record_is_written(cli: Cli) -> None:
    assert cli(*RUN).code == 0
    (record,) = records()
    size = record.stat().st_size
    record.unlink()
    others = files(RESULTS)
    room = max(map(len, others.values()))
    assert room < size - 200  # the record alone finds no room
    with room_for(room):
        said = cli(*RUN)
    assert said.code == 2
    assert f"{record.name} cannot be written (File too large); make room" in said.err.splitlines()[-1]
    assert "Traceback" not in said.err
    assert files(RESULTS).keys() == others.keys()
    assert cli(*RUN).code == 0
    assert records() == [record]


@pytest.mark.parametrize("made_before", [False, True])
def test_a_folder_that_is_read_only(cli: Cli, tmp_path: Path, made_before: bool) -> None:
    if made_before:
        assert cli(*RUN).code == 0
    before, folder = files(tmp_path), RESULTS if made_before else tmp_path
    closed = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
    for path in closed:
        path.chmod(0o500)
    try:
        with obeying_modes():
            said = cli(*RUN, "--set", "users=7")
    finally:
        for path in closed:
            path.chmod(0o700)
    assert said.code == 2
    assert "Permission denied" in said.err.splitlines()[-1] and "make the folder writable" in said.err
    assert "Traceback" not in said.err
    assert files(tmp_path) == before


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system to write to")
    folder = Path(tempfile.mkdtemp(dir=memory))
    yield folder
    shutil.rmtree(folder)


def test_a_folder_on_another_file_system_is_as_good(cli: Cli, elsewhere: Path) -> None:
    said = cli(*RUN, "--results", elsewhere / "results")
    assert said.code == 0, said
    (record,) = records(elsewhere / "results")
    whole = record.read_bytes()
    assert cli(*RUN, "--results", elsewhere / "results").code == 0
    assert record.read_bytes() == whole
    record.unlink()
    with room_for(len(whole) - 100):
        assert cli(*RUN, "--results", elsewhere / "results").code == 2
    assert records(elsewhere / "results") == []
    assert not list(elsewhere.rglob("*.tmp"))
