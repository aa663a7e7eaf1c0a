"""Writing a model's weights encrypted, all of it or nothing.

Files of a writing carry its salt in their names, so an earlier writing stays whole until the new manifest replaces the
old one in a single rename; only then are the old files removed. A folder without a manifest is a half-written one.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from remeasure.errors import UserError

from .cipher import TAG_BYTES, ChunkCipher, Name, chunk_cipher
from .manifest import FILE, FORMAT, Manifest, Part, encode, padded, place

BATCH_BYTES = 8 << 20
"""Records are written in rows of about this size."""


def write_model(
    folder: Path,
    model: str,
    version: int,
    parts: Sequence[bytes | bytearray | memoryview],
    device_key: bytes,
    chunk_bytes: int = 1 << 20,
    cipher: Name = "gcm",
) -> None:
    """Write `parts` encrypted into `folder`, replacing the model that was there.

    Returns when everything is on the disk. A kill at any moment leaves the old model or the new one. One writer at a
    time: two of them remove each other's files, which a reader then refuses. Raises UserError where the folder cannot
    be written or is full, and leaves nothing new; ValueError for a chunk size below 1.
    """
    if chunk_bytes < 1:
        raise ValueError("chunk_bytes must be positive")
    plain = [memoryview(part).cast("B") for part in parts]
    salt = secrets.token_bytes(16)
    mark = salt[:8].hex()
    manifest = Manifest(
        format=FORMAT,
        model=model,
        version=version,
        cipher=cipher,
        chunk_bytes=chunk_bytes,
        salt=salt,
        parts=tuple(Part(f"part-{index:05d}-{mark}.bin", part.nbytes) for index, part in enumerate(plain)),
        tags=(),
    )
    sealing = chunk_cipher(cipher, manifest.key(device_key))
    temporary = folder / f".{FILE}-{mark}.tmp"
    names = [part.name for part in manifest.parts]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tags = [_write_part(folder, manifest, index, part, sealing) for index, part in enumerate(plain)]
        manifest = msgspec.structs.replace(manifest, tags=tuple(tags))
        _write_synced(temporary, [encode(manifest, device_key)])
        _sync_folder(folder)
        os.replace(temporary, folder / FILE)
        _sync_folder(folder)
    except OSError as error:
        _remove([temporary, *(folder / name for name in names)])
        raise UserError(
            f"{folder} cannot be written ({error.strerror}); make room or make it writable, then write again."
        ) from None
    old = [path for path in folder.glob("part-*.bin") if path.name not in names]
    _remove([*old, *folder.glob(f".{FILE}-*.tmp")])


def _write_part(
    folder: Path, manifest: Manifest, part: int, plain: memoryview, sealing: ChunkCipher
) -> bytes:
    """Write one file; returns its tags in a row."""
    tags = bytearray()
    records = _sealed(manifest, part, plain, sealing, tags)
    _write_synced(folder / manifest.parts[part].name, records)
    return bytes(tags)


def _sealed(
    manifest: Manifest, part: int, plain: memoryview, sealing: ChunkCipher, tags: bytearray
) -> Iterator[memoryview]:
    """Rows of records and then the padding; each row is overwritten by the next. Appends the tags."""
    bound = manifest.bound_to(part)
    size, tag_bytes = manifest.chunk_bytes, TAG_BYTES[manifest.cipher]
    row = memoryview(bytearray(max(1, BATCH_BYTES // manifest.record_bytes) * manifest.record_bytes))
    filled = 0
    for chunk in range(manifest.chunks(part)):
        piece = plain[chunk * size : (chunk + 1) * size]
        record = row[filled : filled + len(piece) + tag_bytes]
        where = place(part, chunk)
        sealing.seal(where, piece, bound + where, record)
        tags += record[len(piece) :]
        filled += len(record)
        if filled == len(row):
            yield row
            filled = 0
    yield row[:filled]
    stored = manifest.stored_bytes(part)
    yield memoryview(bytes(padded(stored) - stored))


def _write_synced(path: Path, pieces: Iterable[bytes | memoryview]) -> None:
    with open(path, "xb") as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """Make the names in it durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(paths: Iterable[Path]) -> None:
    """What cannot be removed is left: no manifest names it."""
    for path in paths:
        with suppress(OSError):
            path.unlink()
