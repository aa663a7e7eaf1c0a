"""Memory for everything decrypted, out of reach of the kernel and of other processes: the paper's Flex-Mem.

The host's likeness of pages that are unmapped from the normal world is `memfd_secret`: its pages leave the kernel's own
map, so that reading them through /proc or as another process fails even for root. A page that nobody may touch
(`mprotect`) is no substitute: /proc/<pid>/mem reads it in full. Where the kernel lacks secret memory a run is refused,
or, when asked for, done in ordinary memory and labelled so.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import sys
from collections.abc import Callable
from typing import Literal

import numpy as np

from remeasure.errors import UserError

Protection = Literal["secret", "none"]
MEMFD_SECRET = 447
"""Number of the system call on every architecture that Linux gave it to."""


def memfd_secret() -> int:
    """A descriptor of secret memory; raises OSError where there is none."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.syscall(ctypes.c_long(MEMFD_SECRET), ctypes.c_long(os.O_CLOEXEC))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return int(descriptor)


class Pool:
    """`nbytes` of memory, page-aligned, zero at first."""

    def __init__(
        self,
        nbytes: int,
        protection: Protection = "secret",
        open_secret: Callable[[], int] = memfd_secret,
    ) -> None:
        """Raises UserError where the kernel has no secret memory, or the limit on locked memory is too low.

        The kernel counts secret pages against that limit when they are mapped, so that nothing fails on touch.
        """
        self.nbytes = nbytes
        self.protection = protection
        self._map = _secret(nbytes, open_secret) if protection == "secret" else _ordinary(nbytes)
        self._address = _address(self._map)

    @property
    def protected(self) -> bool:
        """Whether other processes and the kernel are kept out."""
        return self.protection == "secret"

    def address(self, offset: int = 0) -> int:
        """Where the byte at `offset` is mapped in this process."""
        return self._address + offset

    def view(self, offset: int, nbytes: int) -> memoryview:
        """Writable bytes [offset, offset + nbytes); raises ValueError outside the pool."""
        if not 0 <= offset <= offset + nbytes <= self.nbytes:
            raise ValueError(f"[{offset}, {offset + nbytes}) is outside a pool of {self.nbytes} bytes")
        return memoryview(self._map)[offset : offset + nbytes]

    def touch(self, offset: int, nbytes: int) -> None:
        """Make the kernel back the range with pages; contents stay. Nobody may write to the range meanwhile.

        Secret memory knows neither MAP_POPULATE nor MADV_POPULATE, so each page is touched from here.
        """
        start = offset - offset % mmap.PAGESIZE
        pages = np.frombuffer(self.view(start, offset + nbytes - start), np.uint8)[:: mmap.PAGESIZE]
        np.bitwise_or(pages, 0, out=pages)

    def zero(self, offset: int, nbytes: int) -> None:
        """Overwrite the range with zeros."""
        zero(self.view(offset, nbytes))

    def close(self) -> None:
        """Give the memory back. The kernel zeroes secret pages as they are freed.

        Where a view is still held the pages stay mapped until it goes, so they are zeroed at once.
        """
        try:
            self._map.close()
        except BufferError:
            zero(memoryview(self._map))


def zero(view: memoryview) -> None:
    """Overwrite with zeros."""
    np.frombuffer(view, np.uint8)[:] = 0


def _secret(nbytes: int, open_secret: Callable[[], int]) -> mmap.mmap:
    try:
        descriptor = open_secret()
    except OSError as error:
        raise UserError(
            f"this kernel gives no secret memory (memfd_secret: {error.strerror}), so a protected run is refused; "
            "`--set protection=none` runs it unprotected, and labels it so."
        ) from None
    try:
        os.ftruncate(descriptor, nbytes)
        return mmap.mmap(descriptor, nbytes, mmap.MAP_SHARED)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.ENOMEM):
            raise
        limit, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        raise UserError(
            f"{nbytes >> 10} KiB of secret memory exceed the limit on locked memory (RLIMIT_MEMLOCK, "
            f"{limit >> 10} KiB); raise it (`ulimit -l`), "
            "or run unprotected and labelled so with `--set protection=none`."
        ) from None
    finally:
        os.close(descriptor)


def _ordinary(nbytes: int) -> mmap.mmap:
    return mmap.mmap(-1, nbytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


def _address(mapped: mmap.mmap) -> int:
    return int(np.frombuffer(mapped, np.uint8).__array_interface__["data"][0])
