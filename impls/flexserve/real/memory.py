"""The memory that a part of the weights, or the KV cache, lives in: the host's stand-ins for how systems allocate.

flex: secret pages, or ordinary ones of the same size where protection is off. cma: ordinary memory that the kernel
makes contiguous by moving pages together (MADV_COLLAPSE), in blocks of 2 MiB. mmap: ordinary memory in large pages,
which any program may ask for: the storage writes into them several times as fast as into scattered small ones.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..secure.manifest import ALIGN, padded
from ..secure.pool import Pool
from .models import HostRun

Kind = Literal["secret", "small pages", "large pages", "contiguous"]
LABELS: Mapping[Kind, str] = {
    "secret": "secret memory (memfd_secret)",
    "small pages": "ordinary memory, unprotected",
    "large pages": "ordinary memory in large pages where the kernel gives them, unprotected",
    "contiguous": "ordinary memory made contiguous (MADV_COLLAPSE), unprotected",
}
SCATTERED: frozenset[Kind] = frozenset({"secret", "small pages"})
"""Kinds that the storage cannot write to, or only slowly."""
BLOCK_BYTES = 2 << 20
"""Of a large page, and of contiguous memory that MADV_COLLAPSE makes."""
MADV_COLLAPSE = 25
"""Python's mmap knows no name for it."""


def kind(run: HostRun) -> Kind:
    """What a run's weights and KV lie in."""
    if run.system.alloc.startswith("cma"):
        return "contiguous"
    if run.system.alloc == "mmap":
        return "large pages"
    return "secret" if run.system.protected and run.protection == "secret" else "small pages"


@dataclass(eq=False)
class Collapsed:
    """How many blocks were asked to become contiguous, and what the kernel said to the others."""

    blocks: int = 0
    refused: int = 0
    why: str = ""


class Region:
    """`nbytes` of one kind of memory, from a page's beginning and with whole pages behind them; zero at first."""

    def __init__(self, nbytes: int, kind: Kind, collapsed: Collapsed | None = None) -> None:
        """Raises UserError where the kernel lacks secret memory, or the limit on locked memory is too low."""
        self.nbytes = nbytes
        self.kind = kind
        self.collapsed = collapsed or Collapsed()
        slack = 0 if kind in SCATTERED else BLOCK_BYTES
        self._pool = Pool(padded(max(nbytes, ALIGN)) + slack, "secret" if kind == "secret" else "none")
        self._start = -self._pool.address() % BLOCK_BYTES if slack else 0
        advice = {"small pages": mmap.MADV_NOHUGEPAGE, "large pages": mmap.MADV_HUGEPAGE}.get(kind)
        if advice is not None:
            self._advise(
                0, padded(nbytes), advice
            )  # a kernel without large pages refuses, and has small ones

    def view(self, offset: int = 0, nbytes: int | None = None) -> memoryview:
        """Writable bytes [offset, offset + nbytes); may reach into the rest of the last page."""
        return self._pool.view(self._start + offset, self.nbytes - offset if nbytes is None else nbytes)

    def claim(self, offset: int, nbytes: int) -> None:
        """Make the kernel back the range; contiguous: and make each block that begins in it one piece."""
        if self.kind == "contiguous":
            first = -(-offset // BLOCK_BYTES) * BLOCK_BYTES
            for block in range(first, offset + nbytes, BLOCK_BYTES):
                if block + BLOCK_BYTES <= padded(self.nbytes):
                    self._pool.touch(self._start + block, BLOCK_BYTES)
                    self._collapse(block)
        if nbytes:
            self._pool.touch(self._start + offset, nbytes)

    def zero(self) -> None:
        """Overwrite everything."""
        self._pool.zero(self._start, self.nbytes)

    def close(self) -> None:
        """Give the pages back."""
        self._pool.close()

    def _collapse(self, block: int) -> None:
        refused = self._advise(block, BLOCK_BYTES, MADV_COLLAPSE)
        self.collapsed.blocks += 1
        if refused:
            self.collapsed.refused += 1
            self.collapsed.why = os.strerror(refused)

    def _advise(self, offset: int, nbytes: int, advice: int) -> int:
        """0, or the error number with which the kernel refused."""
        libc = ctypes.CDLL(None, use_errno=True)
        address = self._pool.address(self._start + offset)
        refused = libc.madvise(ctypes.c_void_p(address), ctypes.c_size_t(nbytes), advice)
        return ctypes.get_errno() if refused else 0
