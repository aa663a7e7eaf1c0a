"""Encrypted weights: they come back exactly, and nothing but what this device wrote comes back (invariants 5 and 6)."""

from __future__ import annotations

import errno
import os
import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure import cipher, manifest, reader, shards
from remeasure.impls.flexserve.secure.manifest import ALIGN
from remeasure.impls.flexserve.secure.reader import open_model
from remeasure.impls.flexserve.secure.shards import write_model

KEY = bytes(range(32))
CHUNK = 1024
PARTS = [bytes([part]) * (4 * CHUNK + 700) for part in (1, 2)] + [b"head"]
"""Two of the same size, so that swapping them shows nothing but its content."""
RECORD = CHUNK + 16


# --- what comes back -------------------------------------------------------------------------------------------------


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
def test_anything_but_whole_chunks_is_a_mistake_of_the_caller(written, offset, nbytes):
    with open_model(written, "m", KEY) as model, pytest.raises(ValueError, match="whole chunks"):
        model.read(0, offset, nbytes)


def test_files_are_whole_pages_so_that_direct_reads_work(written):
    assert all(path.stat().st_size % ALIGN == 0 for path in written.glob("part-*"))


def test_no_block_of_the_weights_is_in_the_files(tmp_path):
    part = os.urandom(8 * CHUNK)
    write_model(tmp_path, "m", 1, [part], KEY, CHUNK)
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert not any(part[at : at + 16] in stored for at in range(0, len(part), 16))


def test_a_file_system_without_direct_reads_is_read_through_the_page_cache_and_says_so(written, monkeypatch):
    opened = os.open

    def no_direct(path: object, flags: int, *more: int) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "no O_DIRECT")
        return opened(path, flags, *more)

    monkeypatch.setattr(reader.os, "open", no_direct)
    with open_model(written, "m", KEY) as model:
        assert model.io == "fadvise"
        assert whole(model, 0) == PARTS[0]


def test_one_thread_reads_while_another_decrypts(written):
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


def test_a_read_waits_while_all_buffers_hold_ciphertext(written):
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


def test_a_failed_decryption_gives_its_buffer_back(written):
    with open_model(written, "m", KEY, buffers=1) as model:
        flip(part_file(written, 0), 5)
        for _ in range(3):
            with pytest.raises(UserError):
                whole(model, 0)


# --- invariant 5: what is refused ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attempt:
    """How the folder is opened after it was tampered with."""

    folder: Path
    model: str = "m"
    key: bytes = KEY
    minimum_version: int = 2


Tamper = Callable[[Attempt, Path], Attempt]
"""Changes what an attempt reads; the second argument is an empty folder for other writings."""


def wrong_key(attempt: Attempt, _: Path) -> Attempt:
    return replace(attempt, key=bytes(32))


def bit_in_ciphertext(attempt: Attempt, _: Path) -> Attempt:
    flip(part_file(attempt.folder, 0), 2 * RECORD + 7)
    return attempt


def bit_in_tag(attempt: Attempt, _: Path) -> Attempt:
    flip(part_file(attempt.folder, 0), 2 * RECORD + CHUNK + 3)
    return attempt


def bit_in_last_short_chunk(attempt: Attempt, _: Path) -> Attempt:
    flip(part_file(attempt.folder, 0), 4 * RECORD + 699)
    return attempt


def bit_in_manifest(attempt: Attempt, _: Path) -> Attempt:
    flip(attempt.folder / "manifest", 40)
    return attempt


def bit_in_code_of_manifest(attempt: Attempt, _: Path) -> Attempt:
    flip(attempt.folder / "manifest", -1)
    return attempt


def older_version_claimed_new(attempt: Attempt, other: Path) -> Attempt:
    attempt = older_model(attempt, other)
    path = attempt.folder / "manifest"
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    return attempt


def chunks_swapped(attempt: Attempt, _: Path) -> Attempt:
    path = part_file(attempt.folder, 0)
    stored = path.read_bytes()
    path.write_bytes(stored[RECORD : 2 * RECORD] + stored[:RECORD] + stored[2 * RECORD :])
    return attempt


def chunk_duplicated(attempt: Attempt, _: Path) -> Attempt:
    path = part_file(attempt.folder, 0)
    stored = path.read_bytes()
    path.write_bytes(stored[:RECORD] + stored[:RECORD] + stored[2 * RECORD :])
    return attempt


def parts_swapped(attempt: Attempt, other: Path) -> Attempt:
    first, second = part_file(attempt.folder, 0), part_file(attempt.folder, 1)
    first.rename(other / "first")
    second.rename(first)
    (other / "first").rename(second)
    return attempt


def part_truncated(attempt: Attempt, _: Path) -> Attempt:
    os.truncate(part_file(attempt.folder, 0), ALIGN)
    return attempt


def part_missing(attempt: Attempt, _: Path) -> Attempt:
    part_file(attempt.folder, 1).unlink()
    return attempt


def part_of_another_model(attempt: Attempt, other: Path) -> Attempt:
    write_model(other, "other", 2, PARTS, KEY, CHUNK)
    shutil.copyfile(part_file(other, 0), part_file(attempt.folder, 0))
    return attempt


def another_model(attempt: Attempt, other: Path) -> Attempt:
    write_model(other, "other", 2, PARTS, KEY, CHUNK)
    return replace(attempt, folder=other)


def part_of_an_older_version(attempt: Attempt, other: Path) -> Attempt:
    write_model(other, "m", 1, PARTS, KEY, CHUNK)
    shutil.copyfile(part_file(other, 0), part_file(attempt.folder, 0))
    return attempt


def part_of_an_earlier_writing(attempt: Attempt, other: Path) -> Attempt:
    write_model(other, "m", 2, PARTS, KEY, CHUNK)
    shutil.copyfile(part_file(other, 0), part_file(attempt.folder, 0))
    return attempt


def older_model(attempt: Attempt, other: Path) -> Attempt:
    write_model(other, "m", 1, PARTS, KEY, CHUNK)
    return replace(attempt, folder=other)


def half_written(attempt: Attempt, _: Path) -> Attempt:
    (attempt.folder / "manifest").unlink()
    return attempt


NAMING_THE_CHUNK: dict[Tamper, int] = {
    bit_in_ciphertext: 2,
    bit_in_tag: 2,
    bit_in_last_short_chunk: 4,
    chunks_swapped: 0,
    chunk_duplicated: 1,
    parts_swapped: 0,
    part_of_another_model: 0,
    part_of_an_older_version: 0,
    part_of_an_earlier_writing: 0,
}
TAMPERS: list[Tamper] = [
    wrong_key,
    bit_in_manifest,
    bit_in_code_of_manifest,
    older_version_claimed_new,
    part_truncated,
    part_missing,
    another_model,
    older_model,
    half_written,
    *NAMING_THE_CHUNK,
]


def accepted(tamper: Tamper, written: Path, other: Path) -> str:
    """How the invariant was broken; empty where the attempt was refused and left nothing."""
    attempt = tamper(Attempt(written), other)
    out = memoryview(bytearray(b"\xaa" * len(PARTS[0])))
    reached = False
    try:
        with open_model(attempt.folder, attempt.model, attempt.key, attempt.minimum_version) as model:
            for part, nbytes in enumerate(model.part_bytes):
                out[:] = b"\xaa" * len(out)
                ciphertext = model.read(part, 0, nbytes)
                reached = True
                model.decrypt(ciphertext, out[:nbytes])
                if out[:nbytes] != PARTS[part]:
                    return f"part {part} was published, and is not what was written"
                reached = False
    except UserError as error:
        sentence = str(error)
        if reached and any(out):
            return "bytes were left in the buffer"
        if str(attempt.folder) not in sentence or sentence.count(". ") or not sentence.endswith("."):
            return f"not one sentence with the file: {sentence}"
        if tamper in NAMING_THE_CHUNK and f"chunk {NAMING_THE_CHUNK[tamper]} of" not in sentence:
            return f"the chunk is not named: {sentence}"
        return ""
    return "nothing was refused"


@pytest.mark.parametrize("tamper", TAMPERS)
def test_what_this_device_did_not_write_so_is_refused_and_nothing_of_it_is_left(tamper, written, tmp_path):
    assert not accepted(tamper, written, tmp_path)


@given(st.integers(min_value=0), st.integers(0, 7))
def test_no_bit_of_a_record_or_of_the_manifest_can_change(tmp_path_factory, where, bit):
    folder = tmp_path_factory.mktemp("model")
    write_model(folder, "m", 2, PARTS, KEY, CHUNK)

    def one_bit(attempt: Attempt, _: Path) -> Attempt:
        sizes = [
            (part_file(folder, part), len(PARTS[part]) + chunks * 16)
            for part, chunks in ((0, 5), (1, 5), (2, 1))
        ]
        sizes.append((folder / "manifest", (folder / "manifest").stat().st_size))
        at = where % sum(size for _, size in sizes)
        for path, size in sizes:
            if at < size:
                flip(path, at, bit)
                break
            at -= size
        return attempt

    assert not accepted(one_bit, folder, folder)


def test_a_file_that_became_shorter_after_opening_is_refused(written):
    with open_model(written, "m", KEY) as model:
        os.truncate(part_file(written, 0), ALIGN)
        with pytest.raises(UserError, match="ends in chunk 3"):
            whole(model, 0)
        os.truncate(part_file(written, 0), 700)
        with pytest.raises(UserError, match="ends in chunk 0"):
            whole(model, 0)


def believed_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "verifies", lambda *_: True)


def ignored_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = reader.Shards._open

    def opened(self: reader.Shards, *arguments: object) -> None:
        try:
            honest(self, *arguments)
        except InvalidTag:
            return

    monkeypatch.setattr(reader.Shards, "_open", opened)


def unbound_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither nonce nor bound bytes nor manifest know which chunk of its part a record is."""

    def opened(self, part, chunk, record, bound, plain):
        where = reader.place(part, chunk)
        self._cipher.open(where, record, bound + where, plain)

    monkeypatch.setattr(reader.Shards, "_open", opened)
    for module in (shards, reader):
        monkeypatch.setattr(module, "place", lambda part, chunk: part.to_bytes(12, "big"))


def forgotten_zeroing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "zero", lambda view: None)


def allowed_roll_back(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = open_model

    def opened(folder: Path, model: str, key: bytes, minimum_version: int) -> reader.Shards:
        return honest(folder, model, key)

    monkeypatch.setitem(globals(), "open_model", opened)


@pytest.mark.parametrize(
    ("mutant", "tamper"),
    [
        (believed_manifest, bit_in_code_of_manifest),
        (ignored_tags, bit_in_ciphertext),
        (ignored_tags, bit_in_tag),
        (ignored_tags, parts_swapped),
        (ignored_tags, part_of_an_older_version),
        (unbound_chunks, chunks_swapped),
        (unbound_chunks, chunk_duplicated),
        (forgotten_zeroing, bit_in_ciphertext),
        (allowed_roll_back, older_model),
    ],
)
def test_the_check_catches_a_reader_without_that_defence(mutant, tamper, tmp_path, monkeypatch):
    mutant(monkeypatch)
    folder, other = tmp_path / "model", tmp_path / "other"
    other.mkdir()
    write_model(folder, "m", 2, PARTS, KEY, CHUNK)
    assert accepted(tamper, folder, other)


@pytest.mark.parametrize("tamper", [bit_in_ciphertext, chunks_swapped, parts_swapped])
def test_the_ablation_without_authentication_takes_changed_weights(tamper, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "RECORD", CHUNK)  # there are no tags between its chunks
    folder, other = tmp_path / "model", tmp_path / "other"
    other.mkdir()
    write_model(folder, "m", 2, PARTS, KEY, CHUNK, cipher="ctr")
    assert "was published" in accepted(tamper, folder, other)


@pytest.mark.parametrize("tamper", [wrong_key, bit_in_manifest, part_truncated, older_model, half_written])
def test_the_manifest_of_the_ablation_is_authenticated_all_the_same(tamper, tmp_path):
    folder, other = tmp_path / "model", tmp_path / "other"
    other.mkdir()
    write_model(folder, "m", 2, PARTS, KEY, CHUNK, cipher="ctr")
    assert not accepted(tamper, folder, other)


# --- writing: all or nothing -----------------------------------------------------------------------------------------


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


def test_a_full_disk_is_said_in_one_sentence_and_leaves_the_old_model(written, monkeypatch):
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


# --- invariant 6: a nonce never repeats under a key ------------------------------------------------------------------


class Recording:
    """AESGCM that notes every (key, nonce) it encrypts with."""

    used: list[tuple[bytes, bytes]]

    def __init__(self, key: bytes) -> None:
        self._key, self._aead = key, cipher_aead(key)

    def encrypt_into(self, nonce: bytes, *arguments: object) -> int:
        self.used.append((self._key, bytes(nonce)))
        return self._aead.encrypt_into(nonce, *arguments)


cipher_aead = cipher.AESGCM


def repeats(monkeypatch: pytest.MonkeyPatch, base: Path, sizes: list[int], writings: int) -> bool:
    """Whether writing the same model again and again encrypts twice under one key and nonce."""
    Recording.used = []
    monkeypatch.setattr(cipher, "AESGCM", Recording)
    for writing in range(writings):
        write_model(base / str(writing), "m", 1, [bytes(size) for size in sizes], KEY, chunk_bytes=64)
    assert len(Recording.used) == writings * sum(-(-size // 64) for size in sizes)
    return len(set(Recording.used)) < len(Recording.used)


@given(st.lists(st.integers(0, 700), max_size=5), st.integers(1, 3))
def test_no_two_chunks_of_any_writing_share_key_and_nonce(tmp_path_factory, sizes, writings):
    with pytest.MonkeyPatch.context() as patched:
        assert not repeats(patched, tmp_path_factory.mktemp("models"), sizes, writings)


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (shards, "place", lambda part, chunk: bytes(12)),
        (shards, "place", lambda part, chunk: chunk.to_bytes(12, "big")),
        (shards.secrets, "token_bytes", bytes),
    ],
    ids=["constant nonce", "nonce without the part", "same salt at each writing"],
)
def test_the_check_catches_a_writer_that_reuses_nonces(module, name, broken, tmp_path, monkeypatch):
    monkeypatch.setattr(module, name, broken)
    assert repeats(monkeypatch, tmp_path, sizes=[200, 200], writings=2)


# --- helpers ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    write_model(folder, "m", 2, PARTS, KEY, CHUNK)
    return folder


def part_file(folder: Path, part: int) -> Path:
    return next(folder.glob(f"part-{part:05d}-*"))


def flip(path: Path, at: int, bit: int = 0) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def decrypted(model: reader.Shards, ciphertext: reader.Ciphertext) -> bytes:
    out = bytearray(ciphertext.nbytes)
    model.decrypt(ciphertext, memoryview(out))
    return bytes(out)


def whole(model: reader.Shards, part: int) -> bytes:
    nbytes = model.part_bytes[part]
    return decrypted(model, model.read(part, 0, nbytes)) if nbytes else b""
