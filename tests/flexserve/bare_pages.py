"""A few pages of a machine as they really are, and what of invariants 1, 2 and 8 a ledger breaks there."""

from __future__ import annotations

from remeasure.impls.flexserve.policy.pages import NORMAL_WORLD, Effects, Ledger, State
from remeasure.impls.flexserve.policy.runs import Extent

PAGES = 16
SECRET, CIPHER, ZERO, THEIRS = "secret", "ciphertext", "zero", "the normal world's"


class Machine(Effects):
    """What really lies in every page, and which pages the normal world's stage-2 table maps."""

    def __init__(self, pages: int = PAGES) -> None:
        self.content = [THEIRS] * pages
        self.mapped = set(range(pages))

    def write(self, extent: Extent, what: str) -> None:
        for page in range(extent.start, extent.end):
            self.content[page] = what

    def unmap(self, extent: Extent) -> None:
        self.mapped -= set(range(extent.start, extent.end))

    def zero(self, extent: Extent) -> None:
        self.write(extent, ZERO)

    def remap(self, extent: Extent) -> None:
        self.mapped |= set(range(extent.start, extent.end))


def faults(ledger: Ledger, machine: Machine) -> list[str]:
    """Invariants 1, 2 and 8 against what really lies where."""
    found: list[str] = []
    for page, content in enumerate(machine.content):
        state, readable = ledger.state(page), ledger.may_read("normal", page)
        if content == SECRET and (readable or page in machine.mapped):
            found.append(f"1: the normal world reads a secret in page {page}")
        if (page in machine.mapped) != readable:
            found.append(f"1: ledger and stage-2 table disagree about page {page}")
        if state is State.CLAIMED and ledger.access("normal", page) != "blocked":
            found.append(f"2: page {page} is claimed and does not block")
        if state is State.SCRUBBED and content != ZERO:
            found.append(f"2: page {page} counts as scrubbed and is not zero")
        if (state is State.NW) != (ledger.owner(page) == NORMAL_WORLD):
            found.append(f"8: page {page} is {state.name} and belongs to {ledger.owner(page)!r}")
    pieces = ledger.pieces()
    if [p for extent, _, _ in pieces for p in range(extent.start, extent.end)] != list(range(PAGES)):
        found.append("8: a page has no owner, or two")
    recount: dict[tuple[State, str], int] = {}
    for page in range(PAGES):
        key = ledger.state(page), ledger.owner(page)
        recount[key] = recount.get(key, 0) + 1
    if ledger.counters() != recount:
        found.append("8: the counters are not what the pages are")
    return found
