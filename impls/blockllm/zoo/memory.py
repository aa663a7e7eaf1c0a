"""Memory that a zoo reads into and writes from: whole pages, as the disk wants them where the page cache is passed by.

Memory that a process has never touched is given to it page by page, which can cost several times what reading and
hashing do. So what is needed again and again is kept, and a server can reserve at its start what models will lie in.
"""

from __future__ import annotations

import mmap
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock, local

import numpy as np
import numpy.typing as npt

from remeasure.errors import UserError

Bytes = npt.NDArray[np.uint8]
Place = Callable[[int], Bytes]
"""Gives memory for so many bytes: whole pages, from a page's boundary on."""


def whole_pages(nbytes: int) -> int:
    """Bytes of the pages that so many bytes take."""
    return -(-nbytes // mmap.PAGESIZE) * mmap.PAGESIZE


def fresh(nbytes: int, huge: bool = False) -> Bytes:
    """Memory that nobody has touched; it lives as long as what looks at it.

    huge: in large pages where the kernel has them, which a disk's driver is quicker with; for what stays long.
    """
    anonymous = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    mapped = mmap.mmap(-1, whole_pages(nbytes), flags=anonymous)
    if huge:
        with suppress(OSError):
            mapped.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(mapped, np.uint8)


class Reserved:
    """A `Place` of limited size, touched beforehand and handed out once, from front to back."""

    def __init__(self, memory: Bytes) -> None:
        """memory: such as `fresh` gives. Every page of it is touched."""
        self._memory, self._used, self._lock = memory, 0, Lock()
        memory[:: mmap.PAGESIZE] = 0

    def __call__(self, nbytes: int) -> Bytes:
        """Raises UserError where no more is left."""
        with self._lock:
            start, end = self._used, self._used + whole_pages(nbytes)
            if end > len(self._memory):
                raise UserError(
                    f"the memory reserved for models is full: {nbytes} bytes are wanted, "
                    f"{len(self._memory) - start} are left; reserve more."
                )
            self._used = end
        return self._memory[start:end]


class Scratch:
    """A `Place` that gives a thread the same memory each time, so that only the latest content is there."""

    def __init__(self) -> None:
        self._thread = local()

    def __call__(self, nbytes: int) -> Bytes:
        held: Bytes | None = getattr(self._thread, "held", None)
        if held is None or len(held) < nbytes:
            held = self._thread.held = fresh(nbytes)
        return held


class Spare:
    """Pieces of one size that outlive their threads: each is lent to one at a time."""

    def __init__(self, nbytes: int) -> None:
        self._nbytes = nbytes
        self._free: deque[Bytes] = deque()

    @contextmanager
    def lent(self) -> Iterator[Bytes]:
        """A piece, with whatever its last user left in it."""
        try:
            piece = self._free.pop()
        except IndexError:
            piece = fresh(self._nbytes, huge=True)
        try:
            yield piece
        finally:
            self._free.append(piece)
