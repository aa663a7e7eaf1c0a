"""Encrypted weights come back exactly: whole parts and runs of chunks, by any way of reading, in any thread."""

from __future__ import annotations

import errno
import os
import queue
import threading

import pytest
from flexserve.written_models import CHUNK, KEY, PARTS, decrypted, flip, part_file, whole, write
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure import reader
from remeasure.impls.flexserve.secure.manifest import ALIGN
from remeasure.impls.flexserve.secure.reader import open_model
from remeasure.impls.flexserve.secure.shards import write_model


@given(
    st.lists(st.binary(max_size=5000), max_size=4),
    st.integers(1, 3000),
    st.sampled_from(["gcm", "ctr"]),
    st.booleans(),
)
def test_every_part_comes_back_as_it_was_written(tmp_path_factory, parts, chunk_bytes, name, direct):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, "m", 1, parts, KEY, chunk_bytes, name)
    with open_model(folder, "m", KEY, direct=direct) as model:
        assert model.part_bytes == [len(part) for part in parts]
        assert [whole(model, part) for part in range(len(parts))] == parts


@given(st.data())
def test_any_run_of_chunks_can_be_read_alone(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("model")
    part = bytes(range(256)) * 30
    write_model(folder, "m", 1, [part], KEY, chunk_bytes=1000)
    first = data.draw(st.integers(0, 7))
    end = min(1000 * data.draw(st.integers(first + 1, 8)), len(part))
    with open_model(folder, "m", KEY) as model:
        assert decrypted(model, model.read(0, 1000 * first, end - 1000 * first)) == part[1000 * first : end]


@pytest.mark.parametrize(
    ("offset", "nbytes"), [(1, CHUNK), (0, CHUNK + 1), (0, 0), (0, 6 * CHUNK), (-CHUNK, CHUNK)]
)
def test_anything_but_whole_chunks_is_a_mistake_of_the_caller(tmp_path, offset, nbytes):
    written = write(tmp_path)
    with open_model(written, "m", KEY) as model, pytest.raises(ValueError, match="whole chunks"):
        model.read(0, offset, nbytes)


def test_files_are_whole_pages_so_that_direct_reads_work(tmp_path):
    written = write(tmp_path)
    assert all(path.stat().st_size % ALIGN == 0 for path in written.glob("part-*"))


def test_no_block_of_the_weights_is_in_the_files(tmp_path):
    part = os.urandom(8 * CHUNK)
    write_model(tmp_path, "m", 1, [part], KEY, CHUNK)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(part[at : at + 16] in stored for at in range(0, len(part), 16))


def test_a_file_system_without_direct_reads_is_read_through_the_page_cache_and_says_so(tmp_path, monkeypatch):
    written = write(tmp_path)
    opened = os.open

    def no_direct(path: object, flags: int, *more: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no O_DIRECT")
        return opened(path, flags, *more)

    monkeypatch.setattr(reader.os, "open", no_direct)
    with open_model(written, "m", KEY) as model:
        assert model.io == "fadvise"
        assert whole(model, 0) == PARTS[0]


def test_one_thread_reads_while_another_decrypts(tmp_path):
    written = write(tmp_path)
    with open_model(written, "m", KEY) as model:
        waiting: queue.Queue[reader.Ciphertext] = queue.Queue()
        offsets = range(0, len(PARTS[0]), CHUNK)

        def read_all() -> None:
            for offset in offsets:
                waiting.put(model.read(0, offset, min(CHUNK, len(PARTS[0]) - offset)))

        thread = threading.Thread(target=read_all)
        thread.start()
        assert b"".join(decrypted(model, waiting.get(timeout=30)) for _ in offsets) == PARTS[0]
        thread.join()


def test_a_read_waits_while_all_buffers_hold_ciphertext(tmp_path):
    written = write(tmp_path)
    with open_model(written, "m", KEY, buffers=2) as model:
        held = [model.read(0, 0, CHUNK), model.read(1, 0, CHUNK)]
        third: list[bytes] = []
        thread = threading.Thread(target=lambda: third.append(decrypted(model, model.read(0, CHUNK, CHUNK))))
        thread.start()
        thread.join(0.05)
        assert not third
        held[0].release()
        held[0].release()  # again does nothing: the third read still has its buffer alone
        thread.join(30)
        assert third == [PARTS[0][CHUNK : 2 * CHUNK]]
        assert decrypted(model, held[1]) == PARTS[1][:CHUNK]


def test_a_failed_decryption_gives_its_buffer_back(tmp_path):
    written = write(tmp_path)
    with open_model(written, "m", KEY, buffers=1) as model:
        flip(part_file(written, 0), 5)
        for _ in range(3):
            with pytest.raises(UserError):
                whole(model, 0)
