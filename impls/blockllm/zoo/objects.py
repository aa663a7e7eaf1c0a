"""One object of the zoo: the tensors of a group, or of a delta at one place, in a file named by what they are.

An object's name is the sha256 over its settings and over name, type, shape and bytes of each tensor: over the tensors,
not over the file. The file is in the safetensors format and has one form only (header in order, padded to 64 bytes),
so that every byte of it follows from its name, and a changed one is found wherever it is.

Files are read and written past the page cache, whose memory would be taken only to be copied from; small ones are
written through it, which waits for nothing.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, pairwise
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from remeasure.impls.common.llama import ALIGNMENT, Weights

from ..chain import Settings
from .memory import Bytes, Place, fresh, whole_pages
from .overlap import SMALL

if TYPE_CHECKING:
    from hashlib import _Hash

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


@dataclass(frozen=True)
class Layout:
    """What a file's header says."""

    entries: tuple[Entry, ...]
    settings: Settings
    spans: tuple[tuple[int, int], ...]
    """From and to which byte of the file each tensor lies."""


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
    """Write an object's file, which must be new, through `staging`: whole pages from `memory`.

    All but small files go past the page cache, so the disk has nearly all of it at once, and no fresh memory is needed
    for it to wait in. What is missing is a fsync. Raises OSError; what is then half-written is the caller's to remove.
    """
    header = np.frombuffer(_header(_entries(content.tensors), content.settings), np.uint8)
    # Nobody writes to an object again, for its name says what is in it.
    descriptor = _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, cached=content.nbytes < SMALL)
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
    layout = _layout_of(file)
    name = path.name.removesuffix(SUFFIX)
    if check:
        places = [file[begin:end] for begin, end in layout.spans]
        if (found := _name(layout.entries, places, layout.settings)) != name:
            raise ValueError(f"it holds {found[:12]}…, not what its name says")
    tensors = {
        entry.name: _view(file, entry, begin)
        for entry, (begin, _) in zip(layout.entries, layout.spans, strict=True)
    }
    return Content(name, tensors, dict(layout.settings), len(file))


def _opened(path: Path, flags: int, cached: bool = False) -> int:
    """A file past the page cache, unless that is wanted or its file system has no such way."""
    try:
        return os.open(path, flags if cached else flags | os.O_DIRECT, 0o444)
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


def _view(file: memoryview, entry: Entry, begin: int) -> torch.Tensor:
    dtype = TYPES[entry.type]
    if not entry.nbytes:
        return torch.empty(entry.shape, dtype=dtype)
    return torch.frombuffer(file, dtype=dtype, count=prod(entry.shape), offset=begin).view(entry.shape)


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


def _layout_of(file: memoryview) -> Layout:
    """What a file's header says; ValueError where `_header` would not say it like that, or the file is no such."""
    start = 8 + int.from_bytes(file[:8], "little")
    if start > len(file):
        raise ValueError("it does not begin like a file of safetensors, or ends in its header")
    layout = _layout(bytes(file[:start]))
    if (promised := start + sum(entry.nbytes for entry in layout.entries)) != len(file):
        raise ValueError(f"it has {len(file)} bytes, its header promises {promised}")
    return layout


@lru_cache(maxsize=256)
def _layout(header: bytes) -> Layout:
    """What a header says; blocks of a kind have the same, which a zoo would otherwise take apart again and again."""
    try:
        said = json.loads(header[8:])
        settings = {key: json.loads(text) for key, text in said.pop("__metadata__", {}).items()}
        entries = tuple(Entry(name, of["dtype"], tuple(of["shape"])) for name, of in said.items())
        if _header(entries, settings) != header or any(entry.nbytes < 0 for entry in entries):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError):
        raise ValueError("its header is not one that the zoo writes") from None
    return Layout(entries, settings, tuple(_spans(entries, len(header))))


def _text(settings: Settings) -> dict[str, str]:
    """Settings as safetensors keeps them: text by text."""
    return {key: json.dumps(settings[key]) for key in sorted(settings)}


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
