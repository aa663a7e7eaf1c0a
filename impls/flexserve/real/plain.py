"""Weights that are not encrypted: the normal world's base line, and the ablation of the cipher.

The storage writes straight into large pages. Into secret memory it cannot, and into small pages it is slower than with
a copy.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from remeasure.errors import UserError

from ..secure.manifest import ALIGN, padded
from ..secure.staging import Staging

FILE = "parts.json"
"""Bytes of each part; written last."""


def write_plain(folder: Path, parts: Sequence[bytes | bytearray]) -> None:
    """Write each part as a file, padded with zeros to whole 4 KiB; raises OSError where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = [memoryview(part).cast("B") for part in parts]
    for index, part in enumerate(plain):
        with _path(folder, index).open("wb") as file:
            file.write(part)
            file.write(bytes(padded(part.nbytes) - part.nbytes))
            file.flush()
            os.fsync(file.fileno())
    (folder / FILE).write_bytes(msgspec.json.encode([part.nbytes for part in plain]))


class PlainShards:
    """The files of one model. Any thread may read."""

    def __init__(self, folder: Path, direct: bool = True) -> None:
        """Raises UserError for a folder that is not whole."""
        try:
            self.part_bytes = msgspec.json.decode((folder / FILE).read_bytes(), type=list[int])
        except (OSError, msgspec.MsgspecError):
            raise UserError(f"{folder} holds no {FILE} that can be read: nothing or half a model.") from None
        paths = [_path(folder, index) for index in range(len(self.part_bytes))]
        for path, nbytes in zip(paths, self.part_bytes, strict=True):
            if not path.is_file() or path.stat().st_size != padded(nbytes):
                raise UserError(f"{path} is missing or has another size than was written.")
        try:
            self._files = _opened(paths, os.O_DIRECT if direct else 0)
            with mmap.mmap(-1, ALIGN) as page:  # some file systems refuse direct reads only here
                os.preadv(self._files[0], [page], 0)
        except OSError:
            direct = False
            self._files = _opened(paths, 0)
        self.io = "O_DIRECT" if direct else "fadvise"
        self._staging = Staging(2)

    def read_into(self, part: int, offset: int, pages: memoryview, scattered: bool) -> None:
        """Fill `pages`, whole 4 KiB pages at an aligned address, with the bytes of a part from `offset` on.

        `pages` may reach over the end of the part into its padding. scattered: the storage cannot write to the
        pages, or only slowly, so that they get a copy.
        Raises UserError where the file became shorter or cannot be read.
        """
        if not scattered or self.io != "O_DIRECT":
            return self._fill(part, offset, pages)
        buffer = self._staging.take(pages.nbytes)
        try:
            read = memoryview(buffer)[: pages.nbytes]
            self._fill(part, offset, read)
            np.copyto(np.frombuffer(pages, np.uint8), np.frombuffer(read, np.uint8))
        finally:
            self._staging.give(buffer)

    def close(self) -> None:
        """Close the files."""
        while self._files:
            os.close(self._files.pop())

    def _fill(self, part: int, offset: int, pages: memoryview) -> None:
        file, done = self._files[part], 0
        if self.io == "fadvise":
            os.posix_fadvise(file, offset, pages.nbytes, os.POSIX_FADV_DONTNEED)
        while done < pages.nbytes:
            try:
                got = os.preadv(file, [pages[done:]], offset + done)
            except OSError as error:
                raise UserError(f"part {part} of the weights cannot be read ({error.strerror}).") from None
            done += got
            if not got or (done < pages.nbytes and done % ALIGN):
                raise UserError(f"part {part} of the weights ends early; delete its folder in the cache.")


def _opened(paths: Sequence[Path], flag: int) -> list[int]:
    files: list[int] = []
    try:
        files += (os.open(path, os.O_RDONLY | os.O_CLOEXEC | flag) for path in paths)
    except OSError:
        for file in files:
            os.close(file)
        raise
    return files


def _path(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.bin"
