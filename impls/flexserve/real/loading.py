"""Loading and decrypting the pieces that a plan names, from the storage into claimed memory."""

from __future__ import annotations

import time
from typing import Protocol

from ..policy.plan import Op
from ..secure.manifest import padded
from ..secure.reader import Ciphertext, Shards
from .plain import PlainShards


class Destination(Protocol):
    """Memory by part."""

    def view(self, part: int, offset: int, nbytes: int) -> memoryview: ...


class Loader:
    """What `load` and `decrypt` of a plan do. One thread loads, another may decrypt.

    One read at a time: two in flight filled the pipeline no faster, and cost CPU.
    """

    def __init__(
        self, shards: Shards | PlainShards, to: Destination, scattered: bool, bytes_per_s: float = 0.0
    ) -> None:
        """`scattered`: the storage cannot write into `to`, or only slowly.

        `bytes_per_s`: what reading is slowed to; 0 is as fast as the storage.
        """
        self._shards = shards
        self._to = to
        self._scattered = scattered
        self._bytes_per_s = bytes_per_s
        self._due = 0.0
        self._staged: dict[tuple[int, int], Ciphertext] = {}

    @property
    def io(self) -> str:
        """How files are read: O_DIRECT, or fadvise where cached pages are dropped before."""
        return self._shards.io

    def load(self, op: Op) -> None:
        """Read the piece: ciphertext into staging, plain weights to where they are used. Raises UserError."""
        began = time.perf_counter()
        if isinstance(self._shards, PlainShards):
            # Whole pages: a part's memory and its file go on to the end of the last one.
            pages = self._to.view(op.part, op.offset, padded(op.nbytes))
            self._shards.read_into(op.part, op.offset, pages, self._scattered)
        else:
            self._staged[op.part, op.offset] = self._shards.read(op.part, op.offset, op.nbytes)
        if self._bytes_per_s:
            self._due = max(self._due, began) + op.nbytes / self._bytes_per_s
            time.sleep(max(0.0, self._due - time.perf_counter()))

    def decrypt(self, op: Op) -> None:
        """Decrypt what `load` of the same piece read. Raises UserError for anything but what was written there."""
        assert isinstance(self._shards, Shards)
        ciphertext = self._staged.pop((op.part, op.offset))
        self._shards.decrypt(ciphertext, self._to.view(op.part, op.offset, op.nbytes))

    def abandon(self) -> None:
        """Forget what is staged, after a run that failed."""
        while self._staged:
            self._staged.popitem()[1].release()

    def close(self) -> None:
        """Close the files."""
        self._shards.close()
