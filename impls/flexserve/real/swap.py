"""The KV cache of an idle sequence outside protected memory (June §4.2, reclaiming KV): encrypted page by page.

The file lies in a temporary folder that only this user may enter, and goes with the server.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from remeasure.errors import UserError

from ..policy.pages import PAGE_BYTES
from ..secure.kvswap import KVSwap
from .memory import Region
from .pages import KV_OWNER, pages_of


class SwapFile:
    """Where one server's KV is written back to."""

    def __init__(self) -> None:
        """Raises UserError where no temporary file can be made."""
        try:
            self._folder = TemporaryDirectory(prefix="remeasure-kv-", ignore_cleanup_errors=True)
        except OSError as error:
            raise UserError(
                f"no temporary folder can be made for the KV ({error.strerror}); set TMPDIR to another one."
            ) from None
        try:
            self._swap = KVSwap(self.path, PAGE_BYTES)
        except BaseException:
            self._folder.cleanup()
            raise

    @property
    def path(self) -> Path:
        """The file: ciphertext and tags, a page after the other."""
        return Path(self._folder.name) / "pages"

    def write_back(self, kv: Region) -> None:
        """Encrypt and write every page; raises UserError, and keeps nothing, where the file cannot take them."""
        try:
            for page in range(pages_of(kv.nbytes)):
                self._swap.write_back(KV_OWNER, page, kv.view(page * PAGE_BYTES, PAGE_BYTES))
        except BaseException:
            self.forget()
            raise

    def restore(self, kv: Region) -> None:
        """Decrypt every page to where it was, and keep none here.

        Where the file holds anything but what was written, raises UserError with all of `kv` zeroed.
        """
        try:
            for page in range(pages_of(kv.nbytes)):
                self._swap.restore(KV_OWNER, page, kv.view(page * PAGE_BYTES, PAGE_BYTES))
        except BaseException:
            kv.zero()
            self.forget()
            raise

    def forget(self) -> None:
        """What is written back will not be restored."""
        self._swap.forget(KV_OWNER)

    def close(self) -> None:
        """Remove file and folder."""
        self._swap.close()
        self._folder.cleanup()
