"""One object of the zoo: the tensors of a group, or of a delta at one place, in a file named by what they are.

An object's name is the sha256 over its settings and over name, type, shape and bytes of each tensor: over the tensors,
not over the file. The file is in the safetensors format and has one form only (header in order, padded to 64 bytes),
so that every byte of it follows from its name, and a changed one is found wherever it is.

Files are read and written past the page cache, whose memory would be taken only to be copied from. Some threads wait
for the disk while others hash, one a core, for neither holds Python's lock.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from remeasure.impls.common.llama import ALIGNMENT, Weights

from ..chain import Settings
from .memory import Bytes, Place, fresh, whole_pages

if TYPE_CHECKING:
    from hashlib import _Hash

T = TypeVar("T")
SUFFIX = ".safetensors"
TYPES = {"F16": torch.float16, "F32": torch.float32}
"""What tensors of a zoo are made of, by safetensors' names."""
NAMES = {dtype: name for name, dtype in TYPES.items()}
PIECE = 4 << 20
"""Bytes read or written at a time."""


@dataclass(frozen=True)
class Entry:
    """One tensor in a file."""

    name: str
    type: str
    """F16 or F32."""
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * TYPES[self.type].itemsize


@dataclass(frozen=True, eq=False)
class Content:
    """What an object holds."""

    name: str
    """The hash of the content, in hex."""
    tensors: Weights
    """By name, in the order in which they lie in the file."""
    settings: Settings
    """Of a delta; empty for a group."""
    nbytes: int
    """Of the file, which is a little more than the tensors'."""

    @property
    def file(self) -> str:
        return self.name + SUFFIX


def described(tensors: Weights, settings: Settings) -> Content:
    """The content that some tensors are, fp16 or fp32, with its name; they are hashed where they lie."""
    # The larger type first, as safetensors does it: so every number lies at a multiple of its size.
    order = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    kept = {name: tensors[name].detach().contiguous() for name in order}
    entries = _entries(kept)
    name = _name(entries, [_bytes(tensor).data for tensor in kept.values()], settings)
    return Content(name, kept, settings, len(_header(entries, settings)) + sum(e.nbytes for e in entries))


def write(content: Content, path: Path, staging: Bytes) -> None:
    """Write an object's file, which must be new, past the page cache, through `staging`: whole pages from `memory`.

    So the disk has nearly all of it at once, and no fresh memory is needed for it to wait in; what is missing is a
    fsync. Raises OSError; what is then half-written is the caller's to remove.
    """
    header = np.frombuffer(_header(_entries(content.tensors), content.settings), np.uint8)
    # Nobody writes to an object again, for its name says what is in it.
    descriptor = _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        filled = done = 0
        for piece in (header, *map(_bytes, content.tensors.values())):
            while len(piece):
                taken = min(len(piece), len(staging) - filled)
                staging[filled : filled + taken] = piece[:taken]
                piece, filled = piece[taken:], filled + taken
                if filled == len(staging):
                    done, filled = done + _put(descriptor, staging, done), 0
        _put(descriptor, staging[: whole_pages(filled)], done)
        os.ftruncate(descriptor, content.nbytes)  # to less than whole pages
    finally:
        os.close(descriptor)


def for_each(paths: Sequence[Path], work: Callable[[Path], T], threads: int) -> list[T]:
    """Do `work`, which reads and hashes a file, for each: `threads` hash while as many wait for the disk."""
    with ThreadPoolExecutor(2 * threads) as pool:
        return list(pool.map(work, paths))


def pipelined(
    paths: Sequence[Path],
    first: Callable[[Path], memoryview],
    then: Callable[[Path, memoryview], T],
    threads: int,
) -> list[T]:
    """Do `first`, which reads a file, for each, as far ahead as the disk allows, and `then` with what it gave, in the
    order in which files were read: a large one keeps nobody waiting who could hash a small one meanwhile."""
    with ThreadPoolExecutor(threads) as hashing, ThreadPoolExecutor(2 * threads) as reading:
        handed = list(reading.map(lambda path: hashing.submit(then, path, first(path)), paths))
        return [hashed.result() for hashed in handed]


def read(path: Path, check: bool = True, place: Place = fresh) -> Content:
    """An object's tensors, in memory that `place` gives; raises what `taken` and `understood` raise."""
    return understood(path, taken(path, place), check)


def taken(path: Path, place: Place = fresh) -> memoryview:
    """A file's bytes, in memory that `place` gives. Raises OSError, and ValueError with a clause for a file that is
    empty or becomes shorter."""
    descriptor = _opened(path, os.O_RDONLY)
    try:
        nbytes = os.fstat(descriptor).st_size
        if not nbytes:
            raise ValueError("it is empty")
        memory, done = place(nbytes).data[: whole_pages(nbytes)], 0
        while done < nbytes:
            got = os.preadv(descriptor, [memory[done : done + PIECE]], done)
            if not got:
                raise ValueError(f"it ends after {done} of its {nbytes} bytes")
            done += got
        return memory[:nbytes]
    finally:
        os.close(descriptor)


def understood(path: Path, file: memoryview, check: bool = True) -> Content:
    """The tensors in a file's bytes, where they lie; they are hashed, if `check`.

    Raises ValueError with a clause that says what is wrong with the file.
    """
    entries, settings, start = _parsed(file)
    places = [file[begin:end] for begin, end in _spans(entries, start)]
    name = path.name.removesuffix(SUFFIX)
    if check and (found := _name(entries, places, settings)) != name:
        raise ValueError(f"it holds {found[:12]}…, not what its name says")
    tensors = {entry.name: _view(place, entry) for entry, place in zip(entries, places, strict=True)}
    return Content(name, tensors, settings, len(file))


def _opened(path: Path, flags: int) -> int:
    """A file past the page cache, unless its file system has no such way."""
    try:
        return os.open(path, flags | os.O_DIRECT, 0o444)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        if flags & os.O_CREAT:
            path.unlink(missing_ok=True)  # it may have been made before it was refused
        return os.open(path, flags, 0o444)


def _put(descriptor: int, content: Bytes, start: int) -> int:
    """Write all of it from `start` on; its length."""
    done = 0
    while done < len(content):
        try:
            done += os.pwrite(descriptor, content[done:].data, start + done)
        except OSError as error:
            flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
            if error.errno != errno.EINVAL or not flags & os.O_DIRECT:
                raise
            # Only the page cache takes a part of a page, as where a file reaches its limit, or says why it does not.
            fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    return done


def _bytes(tensor: torch.Tensor) -> Bytes:
    """The bytes of a contiguous tensor, where they lie; little-endian, as every machine is that torch runs on here."""
    raw: Bytes = tensor.view(-1).view(torch.uint8).numpy()
    return raw


def _view(place: memoryview, entry: Entry) -> torch.Tensor:
    dtype = TYPES[entry.type]
    if not entry.nbytes:
        return torch.empty(entry.shape, dtype=dtype)
    return torch.frombuffer(place, dtype=dtype).view(entry.shape)


def _entries(tensors: Weights) -> list[Entry]:
    return [Entry(name, NAMES[tensor.dtype], tuple(tensor.shape)) for name, tensor in tensors.items()]


def _name(entries: Sequence[Entry], contents: Sequence[memoryview], settings: Settings) -> str:
    """The hash over everything that an object is."""
    hashed: list[list[str]] = []
    for entry, content in zip(entries, contents, strict=True):
        digest: _Hash = hashlib.sha256(f"{entry.type} {list(entry.shape)}\n".encode())
        digest.update(content)
        hashed.append([entry.name, digest.hexdigest()])
    return hashlib.sha256(_json([_text(settings), hashed])).hexdigest()


def _spans(entries: Sequence[Entry], start: int) -> Iterator[tuple[int, int]]:
    """From and to which byte each tensor lies, when the first one lies at `start`."""
    return pairwise(accumulate((entry.nbytes for entry in entries), initial=start))


def _header(entries: Sequence[Entry], settings: Settings) -> bytes:
    """What stands before the tensors: eight bytes of length, JSON, spaces."""
    header: dict[str, object] = {"__metadata__": _text(settings)} if settings else {}
    for entry, span in zip(entries, _spans(entries, 0), strict=True):
        header[entry.name] = {"dtype": entry.type, "shape": entry.shape, "data_offsets": span}
    text = _json(header)
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _parsed(file: memoryview) -> tuple[list[Entry], Settings, int]:
    """What a file's header says and where its tensors begin; ValueError where `_header` would not say it like that."""
    start = 8 + int.from_bytes(file[:8], "little")
    if start > len(file):
        raise ValueError("it does not begin like a file of safetensors, or ends in its header")
    try:
        header = json.loads(bytes(file[8:start]))
        settings = {key: json.loads(text) for key, text in header.pop("__metadata__", {}).items()}
        entries = [Entry(name, said["dtype"], tuple(said["shape"])) for name, said in header.items()]
        if _header(entries, settings) != file[:start] or any(e.nbytes < 0 for e in entries):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("its header is not one that the zoo writes") from None
    if (promised := start + sum(entry.nbytes for entry in entries)) != len(file):
        raise ValueError(f"it has {len(file)} bytes, its header promises {promised}")
    return entries, settings, start


def _text(settings: Settings) -> dict[str, str]:
    """Settings as safetensors keeps them: text by text."""
    return {key: json.dumps(settings[key]) for key in sorted(settings)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
