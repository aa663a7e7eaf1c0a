"""Memory that ciphertext is read into: page-aligned, reused, and a fixed number of buffers so that reading waits.

It is ordinary memory: nothing decrypted ever lies in it.
"""

from __future__ import annotations

import mmap
import threading
from contextlib import suppress


class Staging:
    """A ring of buffers for readers and decrypters on different threads."""

    def __init__(self, count: int) -> None:
        """`count`: how many buffers may be in use at once; they are made when first needed."""
        self._slots = threading.Semaphore(count)
        self._lock = threading.Lock()
        self._free: list[mmap.mmap] = []

    def take(self, nbytes: int) -> mmap.mmap:
        """A buffer of at least `nbytes`, waiting while all are in use. Give it back."""
        self._slots.acquire()
        with self._lock:
            fitting = [buffer for buffer in self._free if len(buffer) >= nbytes]
            if fitting:
                buffer = min(fitting, key=len)
                self._free.remove(buffer)
                return buffer
            if self._free:
                # One that is too small makes room, so that memory stays within count × the largest read.
                self._free.remove(min(self._free, key=len))
        return _pages(nbytes)

    def give(self, buffer: mmap.mmap) -> None:
        """Free for the next read."""
        with self._lock:
            self._free.append(buffer)
        self._slots.release()


def _pages(nbytes: int) -> mmap.mmap:
    buffer = mmap.mmap(-1, max(nbytes, 1), mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError, AttributeError):
        buffer.madvise(mmap.MADV_HUGEPAGE)  # fewer faults and fewer pages to pin for a direct read
    return buffer
