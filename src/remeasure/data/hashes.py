"""Hashes of data files, remembered between runs by size, times of change and inode."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from ..errors import UserError
from ..struct import Struct


class _Known(Struct, frozen=True):
    size: int
    mtime_ns: int
    ctime_ns: int
    """Changes with the content even where mtime was set back."""
    inode: int
    sha256: str
    git_blob: str


def content_hash(files: Iterable[tuple[str, str]]) -> str:
    """sha256 over sorted (relative path, sha256) pairs: the name of an exact file set."""
    lines = (f"{sha256}  {path}\n" for path, sha256 in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


class Hashes:
    """The hashes of the files below one folder; `save` keeps them for the next run.

    Losing what was remembered costs a second look at the files and nothing else, so an unreadable or
    unwritable memory is passed over in silence.
    """

    def __init__(self, memory: Path, root: Path, remember: bool) -> None:
        self.file = memory / f"{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]}.json"
        self.root = root
        self.known: dict[str, _Known] = {}
        self.changed = False
        if remember:
            with suppress(OSError, msgspec.MsgspecError):
                self.known = msgspec.json.decode(self.file.read_bytes(), type=dict[str, _Known])

    def size(self, path: Path) -> int:
        return self._of(path).size

    def sha256(self, path: Path) -> str:
        return self._of(path).sha256

    def git_blob(self, path: Path) -> str:
        return self._of(path).git_blob

    def save(self) -> None:
        if not self.changed:
            return
        with suppress(OSError):
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self.file.parent, delete=False) as temporary:
                temporary.write(msgspec.json.encode(self.known))
            os.replace(temporary.name, self.file)

    def _of(self, path: Path) -> _Known:
        name = path.relative_to(self.root).as_posix()
        try:
            stat = path.stat()
            known = self.known.get(name)
            now = (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)
            if known is None or (known.size, known.mtime_ns, known.ctime_ns, known.inode) != now:
                known = _Known(*now, *_read(path, stat.st_size))
                self.known[name], self.changed = known, True
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from None
        return known


def _read(path: Path, size: int) -> tuple[str, str]:
    """sha256 and git blob hash in one pass."""
    sha256, git_blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            sha256.update(chunk)
            git_blob.update(chunk)
    return sha256.hexdigest(), git_blob.hexdigest()
