"""What an attacker with the disk can do to a model's files, and how its folder is opened then."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from flexserve.written_models import CHUNK, KEY, PARTS, RECORD, flip, part_file

from remeasure.impls.flexserve.secure.manifest import ALIGN
from remeasure.impls.flexserve.secure.shards import write_model


@dataclass(frozen=True)
class Attempt:
    """How the folder is opened after it was tampered with."""

    folder: Path
    model: str = "m"
    key: bytes = KEY
    minimum_version: int = 2
    record: int = RECORD
    """Bytes in the file from a chunk to the next."""


Tamper = Callable[[Attempt, Path], Attempt]
"""Changes what an attempt reads; the second argument is an empty folder for other writings."""


def wrong_key(attempt: Attempt, _: Path) -> Attempt:
    return replace(attempt, key=bytes(32))


def bit_in_ciphertext(attempt: Attempt, _: Path) -> Attempt:
    flip(part_file(attempt.folder, 0), 2 * attempt.record + 7)
    return attempt


def bit_in_tag(attempt: Attempt, _: Path) -> Attempt:
    flip(part_file(attempt.folder, 0), 2 * attempt.record + CHUNK + 3)
    return attempt


def bit_in_last_short_chunk(attempt: Attempt, _: Path) -> Attempt:
    flip(part_file(attempt.folder, 0), 4 * attempt.record + 699)
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
    path, record = part_file(attempt.folder, 0), attempt.record
    stored = path.read_bytes()
    path.write_bytes(stored[record : 2 * record] + stored[:record] + stored[2 * record :])
    return attempt


def chunk_duplicated(attempt: Attempt, _: Path) -> Attempt:
    path, record = part_file(attempt.folder, 0), attempt.record
    stored = path.read_bytes()
    path.write_bytes(stored[:record] + stored[:record] + stored[2 * record :])
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


def part_of(model: str, version: int, attempt: Attempt, other: Path) -> Attempt:
    """A part of another writing lies where this one's was."""
    write_model(other, model, version, PARTS, KEY, CHUNK)
    shutil.copyfile(part_file(other, 0), part_file(attempt.folder, 0))
    return attempt


def part_of_another_model(attempt: Attempt, other: Path) -> Attempt:
    return part_of("other", 2, attempt, other)


def another_model(attempt: Attempt, other: Path) -> Attempt:
    write_model(other, "other", 2, PARTS, KEY, CHUNK)
    return replace(attempt, folder=other)


def part_of_an_older_version(attempt: Attempt, other: Path) -> Attempt:
    return part_of("m", 1, attempt, other)


def part_of_an_earlier_writing(attempt: Attempt, other: Path) -> Attempt:
    return part_of("m", 2, attempt, other)


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
