"""Weights on the host's disk: prepared once, whole or not at all, and replaced when their code changes."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest
from flexserve.live_numbers import FLEX, same_as_plain
from flexserve.live_pages import MICRO

from remeasure.errors import UserError
from remeasure.impls.flexserve.real import prepared
from remeasure.impls.flexserve.systems import NW_BASE


def test_weights_are_prepared_once_for_one_kind_of_file(serve, tmp_path, monkeypatch):
    serve(at=tmp_path)
    monkeypatch.setattr(prepared, "_make", lambda *_: pytest.fail("written again"))
    serve(at=tmp_path, system=replace(FLEX, granularity="4 MiB", overlap=False))
    serve(at=tmp_path, pool="cold")


def test_other_weights_ciphers_and_chunks_are_other_files(serve, tmp_path):
    systems = [FLEX, replace(FLEX, authenticated=False), replace(FLEX, granularity="64 KiB"), NW_BASE]
    for system in systems:
        serve(at=tmp_path, system=system)
    serve(at=tmp_path, seed=MICRO.seed + 1)
    assert len(list(tmp_path.iterdir())) == len(systems) + 1


def test_what_a_killed_writer_left_is_neither_read_nor_kept(serve, tmp_path):
    serve(at=tmp_path)
    (folder,) = tmp_path.iterdir()
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    folder.rename(tmp_path / f".{folder.name}.{int(dead.stdout)}")
    assert same_as_plain(serve(at=tmp_path))
    assert list(tmp_path.iterdir()) == [folder]


def test_files_of_code_that_has_changed_are_replaced(serve, tmp_path, monkeypatch):
    serve(at=tmp_path)
    serve(at=tmp_path, seed=MICRO.seed + 1)
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(prepared, "_code", lambda: "0" * 64)
    serve(at=tmp_path)
    assert len(set(tmp_path.iterdir()) & before) == 1
    assert len(list(tmp_path.iterdir())) == 2


def test_a_process_that_prepares_the_same_weights_first_is_no_error(serve, tmp_path, monkeypatch):
    serve(at=tmp_path)
    (folder,) = tmp_path.iterdir()
    folder.rename(tmp_path / "first")
    write = prepared.write_model

    def slower(*rest):
        write(*rest)
        (tmp_path / "first").rename(folder)

    monkeypatch.setattr(prepared, "write_model", slower)
    assert same_as_plain(serve(at=tmp_path))
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("system", [FLEX, NW_BASE], ids=["encrypted", "plain"])
@pytest.mark.parametrize("missing", ["part", "list", "end"])
def test_a_half_written_folder_is_refused_and_named(serve, tmp_path, system, missing):
    serve(at=tmp_path, system=system)
    (folder,) = tmp_path.iterdir()
    first = min(folder.glob("part-*.bin"))
    if missing == "part":
        first.unlink()
    elif missing == "list":
        (folder / ("parts.json" if system is NW_BASE else "manifest")).unlink()
    else:
        os.truncate(first, 4096)
    with pytest.raises(UserError, match=str(folder)) as error:
        serve(at=tmp_path, system=system)
    assert "delete" in str(error.value)


def test_a_cache_that_cannot_be_written_is_refused_and_leaves_nothing(serve, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    for system in (FLEX, NW_BASE):
        with pytest.raises(UserError, match="cannot be written"):
            serve(at=blocked, system=system)
    assert list(tmp_path.iterdir()) == [blocked]
