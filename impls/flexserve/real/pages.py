"""The policy's page state machine (June §4, Flex-Mem) run on this host: whose every page is, and what may lie in it.

A part of the weights, or the KV cache, owns a range of page numbers; the ranges follow each other. Its pages are
protected together, when they are mapped, because the kernel charges secret memory then; they are filled piece by piece,
and go back together. Unmapping needs no step of its own: secret pages are in nobody else's tables from the start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Lock

from ..policy.pages import PAGE_BYTES, Effects, Ledger, State
from ..policy.runs import Extent
from .memory import Region

KV_OWNER = "kv"


def part_owner(part: int) -> str:
    """The name that a part's pages are owned under."""
    return f"part {part}"


def pages_of(nbytes: int) -> int:
    """Whole pages that hold so many bytes; memory of nothing still takes one."""
    return max(1, -(-nbytes // PAGE_BYTES))


class Pages:
    """The memory of every owner and the steps it goes through, without books: for the unprotected system."""

    ledger: Ledger | None = None

    def __init__(self) -> None:
        self._regions: dict[str, Region] = {}

    def protect(self, owner: str, region: Region) -> None:
        """This memory is the owner's; call it before the first touch."""
        self._regions[owner] = region

    def fill(self, owner: str, offset: int = 0, nbytes: int | None = None) -> None:
        """Plaintext may lie in these bytes from now on; call it before the first one is written."""

    def claim(self, owner: str) -> None:
        """The owner's pages are promised to the kernel: nobody may use them any more."""

    def scrub(self, owner: str) -> None:
        """Zero claimed pages."""
        self._regions[owner].zero()

    def release(self, owner: str) -> None:
        """Give scrubbed pages back; nothing of the caller's may look into them any more."""
        self._regions[owner].close()
        del self._regions[owner]


class LedgerPages(Pages, Effects):
    """The same under the policy's ledger, which refuses (`Refused`, a bug) every step that is not its turn.

    The ledger is not for several threads, so each of its methods runs under `lock`, which is let go while a step
    really zeroes or unmaps: between claim and release a page has one user, the one that claimed it, and the ledger
    itself refuses its pages to all others.
    """

    ledger: Ledger

    def __init__(self, nbytes: Mapping[str, int]) -> None:
        """`nbytes`: of each owner's memory."""
        super().__init__()
        self.lock = Lock()
        """Hold it to read the ledger while other threads work."""
        self._places: dict[str, Extent] = {}
        total = 0
        for owner, size in nbytes.items():
            self._places[owner] = Extent(total, pages_of(size))
            total += pages_of(size)
        self._owners = {place: owner for owner, place in self._places.items()}
        self._plain: set[str] = set()
        self.ledger = Ledger(total, self)

    def place(self, owner: str) -> Extent:
        """The owner's page numbers."""
        return self._places[owner]

    def protect(self, owner: str, region: Region) -> None:
        with self.lock:
            self.ledger.protect([self._places[owner]], owner)
            super().protect(owner, region)

    def fill(self, owner: str, offset: int = 0, nbytes: int | None = None) -> None:
        if owner in self._plain:  # what a warm pool always meets
            return
        place = self._places[owner]
        first, end = offset // PAGE_BYTES, place.pages if nbytes is None else pages_of(offset + nbytes)
        with self.lock:
            self._fill(Extent(place.start + first, end - first))
            if all(state is State.FLEX_PLAIN for _, state, _ in self.ledger.pieces(place)):
                self._plain.add(owner)

    def claim(self, owner: str) -> None:
        place = self._places[owner]
        with self.lock:
            self._plain.discard(owner)
            self._fill(place)  # where filling was given up, plaintext may lie, too
            self.ledger.claim([place])

    def scrub(self, owner: str) -> None:
        with self.lock:
            self.ledger.scrub([self._places[owner]])

    def release(self, owner: str) -> None:
        with self.lock:
            self.ledger.release([self._places[owner]])

    def zero(self, extent: Extent) -> None:
        """The ledger's, inside `scrub`."""
        with self._let_go():
            super().scrub(self._owners[extent])

    def remap(self, extent: Extent) -> None:
        """The ledger's, inside `release`."""
        with self._let_go():
            super().release(self._owners[extent])

    def _fill(self, extent: Extent) -> None:
        pieces = self.ledger.pieces(extent)
        self.ledger.fill([piece for piece, state, _ in pieces if state is not State.FLEX_PLAIN])

    @contextmanager
    def _let_go(self) -> Iterator[None]:
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()
