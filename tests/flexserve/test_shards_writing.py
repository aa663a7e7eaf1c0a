"""Writing a model is all or nothing: a kill, a full disk or a wrong key leaves what was there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from flexserve.written_models import CHUNK, KEY, PARTS, whole, write

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure import shards
from remeasure.impls.flexserve.secure.reader import open_model
from remeasure.impls.flexserve.secure.shards import write_model


class Killed(BaseException):
    pass


@pytest.mark.parametrize("first", [True, False], ids=["nothing there before", "over version 1"])
@pytest.mark.parametrize("step", range(6))
def test_a_kill_at_any_step_leaves_the_old_model_or_the_new_one(step, first, tmp_path, monkeypatch):
    new = [part[::-1] + b"new" for part in PARTS]
    if not first:
        write_model(tmp_path, "m", 1, PARTS, KEY, CHUNK)
    with monkeypatch.context() as patched:
        kill_at(step, patched)
        with pytest.raises(Killed):
            write_model(tmp_path, "m", 2, new, KEY, CHUNK)
    replaced = step == 5
    if first and not replaced:
        with pytest.raises(UserError, match="holds no manifest"):
            open_model(tmp_path, "m", KEY)
    else:
        with open_model(tmp_path, "m", KEY) as model:
            assert [whole(model, part) for part in range(3)] == (new if replaced else PARTS)
    write_model(tmp_path, "m", 3, PARTS, KEY, CHUNK)
    assert len(list(tmp_path.iterdir())) == len(PARTS) + 1, "what a killed writer left is swept"


def kill_at(step: int, patched: pytest.MonkeyPatch) -> None:
    """The process ends before the step: three parts, the manifest, its rename, the removal of old files."""
    steps = iter(range(6))

    def before(work: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object) -> object:
            if next(steps) == step:
                raise Killed
            return work(*arguments)

        return run

    patched.setattr(shards, "_write_synced", before(shards._write_synced))
    patched.setattr(shards.os, "replace", before(os.replace))
    patched.setattr(shards, "_remove", before(shards._remove))


def test_a_full_disk_is_said_in_one_sentence_and_leaves_the_old_model(tmp_path, monkeypatch):
    written = write(tmp_path)
    honest = shards._write_synced

    def full(path: Path, pieces: object) -> None:
        honest(path, pieces)
        if "00001" in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shards, "_write_synced", full)
    before = sorted(written.iterdir())
    with pytest.raises(UserError, match="No space left"):
        write_model(written, "m", 3, PARTS, KEY, CHUNK)
    assert sorted(written.iterdir()) == before
    with open_model(written, "m", KEY) as model:
        assert whole(model, 1) == PARTS[1]


def test_a_device_key_of_another_length_is_refused(tmp_path):
    with pytest.raises(UserError, match="has 5 bytes"):
        write_model(tmp_path, "m", 1, PARTS, b"short")
