"""Encrypted models of a few small parts, written into a folder and read back, and a bit of a file that flips."""

from __future__ import annotations

from pathlib import Path

from remeasure.impls.flexserve.secure import reader
from remeasure.impls.flexserve.secure.cipher import Name
from remeasure.impls.flexserve.secure.shards import write_model

KEY = bytes(range(32))
CHUNK = 1024
PARTS = [bytes([part]) * (4 * CHUNK + 700) for part in (1, 2)] + [b"head"]
"""Two of the same size, so that swapping them shows nothing but its content."""
RECORD = CHUNK + 16


def write(folder: Path, cipher: Name = "gcm") -> Path:
    """The folder, with `PARTS` in it as version 2 of the model m."""
    write_model(folder, "m", 2, PARTS, KEY, CHUNK, cipher)
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
