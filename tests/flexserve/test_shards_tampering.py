"""Nothing but what this device wrote comes back, and of what is refused nothing is left (invariant 5)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from flexserve.tampers import (
    NAMING_THE_CHUNK,
    TAMPERS,
    Attempt,
    Tamper,
    bit_in_ciphertext,
    bit_in_code_of_manifest,
    bit_in_manifest,
    bit_in_tag,
    chunk_duplicated,
    chunks_swapped,
    half_written,
    older_model,
    part_of_an_older_version,
    part_truncated,
    parts_swapped,
    wrong_key,
)
from flexserve.written_models import CHUNK, KEY, PARTS, RECORD, flip, part_file, whole, write
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.secure import manifest, reader, shards
from remeasure.impls.flexserve.secure.cipher import Name
from remeasure.impls.flexserve.secure.manifest import ALIGN
from remeasure.impls.flexserve.secure.reader import open_model


def accepted(tamper: Tamper, base: Path, cipher: Name = "gcm") -> str:
    """How the invariant was broken; empty where the attempt was refused and left nothing."""
    written, other = write(base / "model", cipher), base / "other"
    other.mkdir()
    record = RECORD if cipher == "gcm" else CHUNK  # the ablation has no tags between its chunks
    attempt = tamper(Attempt(written, record=record), other)
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
def test_what_this_device_did_not_write_so_is_refused_and_nothing_of_it_is_left(tamper, tmp_path):
    assert not accepted(tamper, tmp_path)


@given(st.integers(min_value=0), st.integers(0, 7))
def test_no_bit_of_a_record_or_of_the_manifest_can_change(tmp_path_factory, where, bit):
    def one_bit(attempt: Attempt, _: Path) -> Attempt:
        folder = attempt.folder
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

    assert not accepted(one_bit, tmp_path_factory.mktemp("base"))


def test_a_file_that_became_shorter_after_opening_is_refused(tmp_path):
    written = write(tmp_path)
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
    assert accepted(tamper, tmp_path)


@pytest.mark.parametrize("tamper", [bit_in_ciphertext, chunks_swapped, parts_swapped])
def test_the_ablation_without_authentication_takes_changed_weights(tamper, tmp_path):
    assert "was published" in accepted(tamper, tmp_path, "ctr")


@pytest.mark.parametrize("tamper", [wrong_key, bit_in_manifest, part_truncated, older_model, half_written])
def test_the_manifest_of_the_ablation_is_authenticated_all_the_same(tamper, tmp_path):
    assert not accepted(tamper, tmp_path, "ctr")
