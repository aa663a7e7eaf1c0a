"""Putting files into a zoo so that a process killed at any point leaves nothing half-written under a file's name."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

from .memory import Spare
from .objects import SUFFIX, Content, write

TEMPORARY = ".tmp"
"""Ends the names of files that are being written."""
SYNCING = 8
"""Files whose way to the disk is waited for at a time."""


class Batch:
    """The objects of one insertion: each is written under a temporary name when it comes, all get theirs together."""

    def __init__(self, folder: Path, staging: Spare) -> None:
        """staging: what files are written through."""
        self.folder, self.staging = folder, staging
        self.new: dict[str, int] = {}
        """Bytes of the objects that were not there, by name."""
        self.shared: dict[str, int] = {}
        """Of those that were."""
        self._lock = Lock()
        self._mark = uuid.uuid4().hex

    def lacks(self, content: Content) -> bool:
        """Whether an object is to be written: it is neither there with its size nor was it asked for before."""
        with self._lock:
            if content.name in self.new or content.name in self.shared:
                return False
            held = _size(self.folder / content.file) == content.nbytes
            (self.shared if held else self.new)[content.name] = content.nbytes
        return not held

    def write(self, content: Content) -> None:
        """Write an object that it lacks. From any thread. Raises OSError."""
        with self.staging.lent() as staging:
            write(content, self._temporary(content.name), staging)

    def commit(self) -> None:
        """Wait until the disk has what was added, then give it its names. Raises OSError."""
        temporary = {name: self._temporary(name) for name in self.new}
        wait_for_disk(temporary.values())
        for name, path in temporary.items():
            path.replace(self.folder / f"{name}{SUFFIX}")
        wait_for_disk([self.folder] if temporary else [])

    def abandon(self) -> None:
        """Remove what has no name of its own yet."""
        for name in self.new:
            with suppress(OSError):
                self._temporary(name).unlink(missing_ok=True)

    def _temporary(self, name: str) -> Path:
        return self.folder / f"{name}.{self._mark}{TEMPORARY}"


def put(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; waits until the disk has it. Raises OSError."""
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}{TEMPORARY}")
    try:
        temporary.write_bytes(content)
        wait_for_disk([temporary])
        temporary.replace(path)
        wait_for_disk([path.parent])
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def wait_for_disk(paths: Iterable[Path]) -> None:
    """fsync files or folders, several at a time. Raises OSError."""
    with ThreadPoolExecutor(SYNCING) as pool:
        list(pool.map(_sync, paths))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _size(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return None
