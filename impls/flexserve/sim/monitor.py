"""The monitor of the modelled device: the page states, the NPU's switch and on-demand protection of `policy`, at work.

`Memory` counts bytes and decides what a thing costs; this keeps the whole pages that those bytes lie in, each part of
a model and each KV cache rounded up, and takes them through June §4's life of a page. It takes no time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping

from ..policy.guard import Guard
from ..policy.npu import NPU_SECURE, Npu, Smmu
from ..policy.pages import FLEX, PAGE_BYTES, Ledger, State
from ..policy.runs import Extent

IMAGE, TABLES = b"monitor", b"stage-2 tables"
"""What is measured before protection is switched off; nothing in a simulation changes them."""


class Monitor:
    """Pages of the whole device. An owner is a model's weights or its KV cache; its pieces are held one by one."""

    def __init__(self, total_bytes: int, on_demand: bool = False) -> None:
        self.ledger = Ledger(total_bytes // PAGE_BYTES)
        self.smmu = Smmu(self.ledger)
        self.npu = Npu(self.smmu)
        self.guard = Guard(self.ledger, self.npu)
        self.on_demand = on_demand
        self._held: dict[str, dict[int, list[Extent]]] = {}
        """Owner → piece → its pages."""
        self._claimed: deque[Extent] = deque()
        """Pages to be scrubbed, in the order they were claimed."""
        self._roundings = 0
        """Pieces claimed since pages were scrubbed last: each may have claimed up to a page more than its bytes."""

    def hold(self, owner: str, pieces: Mapping[int, int]) -> bool:
        """Protect and fill what the pieces (number → bytes, not less than before) lack; False: too few pages."""
        held = self._held.get(owner, {})
        lacking = {
            piece: pages(nbytes) - (_count(held[piece]) if piece in held else 0)
            for piece, nbytes in pieces.items()
        }
        wanted = sum(lacking.values())
        if not wanted:
            return True
        offer = self.ledger.offer(wanted)
        if _count(offer) < wanted:
            return False
        self.ledger.protect(offer, owner)
        self.ledger.fill(offer)
        held = self._held.setdefault(owner, held)
        left = deque(offer)
        for piece, number in lacking.items():
            held[piece] = held.get(piece, []) + _first(left, number)
        return True

    def drop(self, owner: str, pieces: Collection[int], claimed: bool) -> None:
        """Claim these pieces' pages; unless they are to stay claimed, scrub and release them at once."""
        held = self._held.get(owner, {})
        extents = _joined(extent for piece in pieces for extent in held.pop(piece, ()))
        if not held:
            self._held.pop(owner, None)
        if not extents:
            return
        self.ledger.claim(extents)
        if claimed:
            self._claimed.extend(extents)
            self._roundings += len(pieces)
        else:
            self._give_back(extents)

    def scrub(self, claimed_bytes: int) -> None:
        """Scrub and release the pages claimed first, until what is left only just holds the bytes still claimed."""
        surplus = _count(self._claimed) - pages(claimed_bytes)
        if surplus > 0:
            self._give_back(_joined(_first(self._claimed, surplus)))
            self._roundings = 0

    def wake(self) -> None:
        """Stage-2 protection is on from now on."""
        if not self.guard.on:
            self.guard.enable(IMAGE, TABLES)

    def rest(self) -> None:
        """With on-demand protection, switch it off if there is nothing to protect."""
        if self.on_demand and self.guard.on and not self.ledger.protected and self.npu.mode == "normal":
            self.guard.disable(IMAGE, TABLES)

    def enter(self, model: str) -> None:
        """Give the NPU to the secure world with all that is held for a model."""
        held = (self._held.get(owner, {}) for owner in (weights_of(model), kv_of(model)))
        self.npu.enter(_joined(extent for pieces in held for piece in pieces.values() for extent in piece))

    def faults(
        self, weights: Mapping[str, Mapping[int, int]], kv: Mapping[str, int], claimed_bytes: int
    ) -> list[str]:
        """Where the pages are not what the bytes (model → part → weights, model → KV, claimed) say, or not safe."""
        ledger = self.ledger
        expected = {weights_of(model): sum(map(pages, parts.values())) for model, parts in weights.items()}
        expected |= {kv_of(model): pages(nbytes) for model, nbytes in kv.items()}
        found = {owner: n for (state, owner), n in ledger.counters().items() if state in FLEX}
        wrong = [
            f"{owner} has {found.get(owner, 0)} protected pages, not {expected.get(owner, 0)}"
            for owner in sorted(expected.keys() | found.keys())
            if found.get(owner, 0) != expected.get(owner, 0)
        ]
        least, claimed = pages(claimed_bytes), ledger.count(State.CLAIMED)
        if not least <= claimed <= least + self._roundings:
            wrong.append(f"{claimed} pages are claimed, {least} hold the bytes that are")
        if ledger.count(State.FLEX_EMPTY, State.FLEX_CIPHER, State.SCRUBBED):
            wrong.append("a page stopped between two states")
        if ledger.count() != ledger.total_pages:
            wrong.append(f"{ledger.count()} pages are counted, the device has {ledger.total_pages}")
        reached = self.smmu.extents(NPU_SECURE)
        if reached and self.npu.mode == "normal":
            wrong.append("the NPU is the normal world's and its secure table is not empty")
        if any(state not in FLEX for extent in reached for _, state, _ in ledger.pieces(extent)):
            wrong.append("the NPU reaches a page that is not protected")
        if not self.guard.on and (ledger.protected or self.npu.mode == "secure"):
            wrong.append("stage-2 protection is off and there is something to protect")
        return wrong

    def _give_back(self, extents: list[Extent]) -> None:
        self.ledger.scrub(extents)
        self.ledger.release(extents)


def weights_of(model: str) -> str:
    """Owner of a model's weights."""
    return f"{model}, weights"


def kv_of(model: str) -> str:
    """Owner of a model's KV cache, which is a single piece."""
    return f"{model}, KV"


def pages(nbytes: int) -> int:
    """Whole pages that hold so many bytes."""
    return -(-nbytes // PAGE_BYTES)


def _count(extents: Iterable[Extent]) -> int:
    return sum([extent.pages for extent in extents])


def _first(extents: deque[Extent], number: int) -> list[Extent]:
    """Take the first `number` pages off a queue that has so many."""
    taken: list[Extent] = []
    while number:
        extent = extents.popleft()
        if extent.pages > number:
            extents.appendleft(Extent(extent.start + number, extent.pages - number))
            extent = Extent(extent.start, number)
        taken.append(extent)
        number -= extent.pages
    return taken


def _joined(extents: Iterable[Extent]) -> list[Extent]:
    """The same pages in order, neighbouring extents as one."""
    joined: list[Extent] = []
    begin = end = 0
    for start, number in sorted(extents):
        if start != end and end:
            joined.append(Extent(begin, end - begin))
        if start != end or not end:
            begin = start
        end = start + number
    if end:
        joined.append(Extent(begin, end - begin))
    return joined
