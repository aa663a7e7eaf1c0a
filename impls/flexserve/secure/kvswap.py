"""KV pages that leave the protected memory: encrypted, written back, restored later (the paper's `rsmem_reclaim`).

The key is made here, at random, and never leaves the object, so a nonce that only counts up never repeats under it.
Where a page lies, and under which nonce, is kept in this process: a page that was moved, or is older than the last one
written, does not restore.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from remeasure.errors import UserError

from .cipher import NONCE_BYTES, TAG_BYTES
from .keys import bound
from .pool import zero


class KVSwap:
    """Encrypted pages of KV caches in one file, which this object makes and removes. Safe for several threads."""

    def __init__(self, path: Path, page_bytes: int) -> None:
        """Raises UserError where the file cannot be made or is there already."""
        self.page_bytes = page_bytes
        self._path = path
        self._record_bytes = page_bytes + TAG_BYTES["gcm"]
        self._aead = AESGCM(AESGCM.generate_key(256))
        self._used_nonces = 0
        self._where: dict[tuple[str, int], tuple[int, bytes]] = {}
        self._free: list[int] = []
        self._slots = 0
        self._record = memoryview(bytearray(self._record_bytes))
        self._lock = threading.Lock()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"{path} cannot be made ({error.strerror}); name another file.") from None

    @property
    def pages(self) -> int:
        """How many pages are written back now."""
        return len(self._where)

    def write_back(self, owner: str, page: int, plain: memoryview) -> None:
        """Encrypt one page of `owner` and write it; what was written of that page before will not restore.

        Zeroing the page is the caller's next step. Raises UserError, and changes nothing, where it cannot be written.
        """
        self._check(plain)
        with self._lock:
            slot, nonce = self._slot(), self._nonce()
            self._aead.encrypt_into(nonce, plain, bound("kv", owner, page), self._record)
            try:
                written = os.pwrite(self._file, self._record, slot * self._record_bytes)
            except OSError as error:
                self._free.append(slot)
                raise self._refused(f"cannot be written ({error.strerror})", owner, page) from None
            if written < self._record_bytes:
                self._free.append(slot)
                raise self._refused("cannot be written (the disk is full)", owner, page)
            if (owner, page) in self._where:
                self._free.append(self._where[owner, page][0])
            self._where[owner, page] = slot, nonce

    def restore(self, owner: str, page: int, out: memoryview) -> None:
        """Decrypt a page that was written back into `out`, and forget it there.

        Raises KeyError for a page that is not written back. Where the file holds anything but the last thing written,
        `out` is zeroed, UserError raised and the page lost.
        """
        self._check(out)
        with self._lock:
            slot, nonce = self._where.pop((owner, page))
            self._free.append(slot)
            try:
                got = os.preadv(self._file, [self._record], slot * self._record_bytes)
                self._aead.decrypt_into(nonce, self._record[:got], bound("kv", owner, page), out)
            except OSError as error:
                zero(out)
                raise self._refused(f"cannot be read ({error.strerror})", owner, page) from None
            except (InvalidTag, ValueError):  # ValueError: too short to be a page
                zero(out)
                raise self._refused("does not hold what was written", owner, page) from None

    def forget(self, owner: str) -> None:
        """The pages of `owner` will not be restored."""
        with self._lock:
            for key in [key for key in self._where if key[0] == owner]:
                self._free.append(self._where.pop(key)[0])

    def close(self) -> None:
        """Remove the file."""
        os.close(self._file)
        with suppress(OSError):
            self._path.unlink()

    def _nonce(self) -> bytes:
        """Never the same again."""
        self._used_nonces += 1
        return self._used_nonces.to_bytes(NONCE_BYTES, "big")

    def _slot(self) -> int:
        if self._free:
            return self._free.pop()
        self._slots += 1
        return self._slots - 1

    def _check(self, page: memoryview) -> None:
        if page.nbytes != self.page_bytes:
            raise ValueError(f"a page has {self.page_bytes} bytes, not {page.nbytes}")

    def _refused(self, why: str, owner: str, page: int) -> UserError:
        return UserError(
            f"{self._path}, KV page {page} of {owner!r}, {why}; the session has to be prefilled again."
        )
