"""On-demand protection (June §4): stage-2 tables are switched off while nothing is protected.

The monitor's part in secure memory (EL3) measures the part outside of it (EL2) and its tables before they lose their
protection, and lets them take over again only if they are still the same.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from .npu import Npu
from .pages import Effects, Ledger, Refused
from .runs import Extent

Bytes = bytes | bytearray | memoryview


class Guard(Effects):
    """Whether stage-2 protection is on; while it is off no page can be protected."""

    def __init__(self, ledger: Ledger, npu: Npu) -> None:
        """On."""
        self._ledger = ledger
        self._npu = npu
        self._measured: bytes | None = None
        ledger.attach(self)

    @property
    def on(self) -> bool:
        """Whether the normal world is confined by its stage-2 tables."""
        return self._measured is None

    def disable(self, image: Bytes, tables: Bytes) -> None:
        """Measure the monitor's image and tables and switch off.

        Refused while any page is protected or on its way back, such as weights that a cache keeps, while the secure
        world has the NPU, and when it is off already.
        """
        if not self.on:
            raise Refused("protection is off already")
        if self._ledger.protected:
            raise Refused(
                f"{self._ledger.protected} pages are still protected; weights kept in a cache and protection switched "
                "off exclude each other"
            )
        if self._npu.mode != "normal":
            raise Refused("the NPU is still in flex mode")
        self._measured = fingerprint(image, tables)

    def enable(self, image: Bytes, tables: Bytes) -> None:
        """Switch on again; Refused, and it stays off, unless image and tables are what was measured."""
        if self._measured is None:
            raise Refused("protection is on already")
        if not hmac.compare_digest(self._measured, fingerprint(image, tables)):
            raise Refused("the monitor's image or its tables changed while protection was off")
        self._measured = None

    def check_protect(self, extents: Sequence[Extent]) -> None:
        """Nothing can be protected while protection is off."""
        if not self.on:
            raise Refused("protection is off: switch it on before memory is protected")


def fingerprint(image: Bytes, tables: Bytes) -> bytes:
    """SHA-256 over the image's length, the image and the tables, so that no byte can change sides unseen."""
    digest = hashlib.sha256(memoryview(image).nbytes.to_bytes(8, "little"))
    digest.update(image)
    digest.update(tables)
    return digest.digest()
