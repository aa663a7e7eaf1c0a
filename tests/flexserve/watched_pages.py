"""What really lies in the simulator's pages, beside its ledger, and what of the page states does not hold."""

from __future__ import annotations

from collections.abc import Iterable

from remeasure.impls.flexserve.policy.npu import NPU_SECURE
from remeasure.impls.flexserve.policy.pages import FLEX, PAGE_BYTES, Effects, Ledger, State
from remeasure.impls.flexserve.policy.runs import Extent, Runs
from remeasure.impls.flexserve.sim.memory import Memory


class Machine(Effects):
    """What really lies in the pages and what the normal world's stage-2 table maps, whatever the ledger says."""

    def __init__(self, total_pages: int) -> None:
        self.plaintext = Runs(total_pages, False)
        self.mapped = Runs(total_pages, True)

    def unmap(self, extent: Extent) -> None:
        self.mapped.put(extent, False)

    def zero(self, extent: Extent) -> None:
        self.plaintext.put(extent, False)

    def remap(self, extent: Extent) -> None:
        self.mapped.put(extent, True)

    def readable_secrets(self) -> list[Extent]:
        return [
            piece
            for extent, plain in self.plaintext.pieces()
            if plain
            for piece, mapped in self.mapped.pieces(extent)
            if mapped
        ]


class Watched(Ledger):
    """A ledger with a machine below it."""

    def __init__(self, total_pages: int, *effects: Effects) -> None:
        self.machine = Machine(total_pages)
        super().__init__(total_pages, self.machine, *effects)

    def fill(self, extents: Iterable[Extent]) -> None:
        listed = list(extents)
        super().fill(listed)
        for extent in listed:
            self.machine.plaintext.put(extent, True)


def faults(memory: Memory, serving: str | None) -> list[str]:
    """What of the page states does not hold now."""
    wrong = list(memory.faults())
    monitor = memory.monitor
    assert monitor is not None
    ledger, recount = monitor.ledger, 0
    assert isinstance(ledger, Watched)
    wrong += [f"the normal world reads a secret in {piece}" for piece in ledger.machine.readable_secrets()]
    for extent, state, _ in ledger.pieces():
        recount += extent.pages
        if any(mapped != (state is State.NW) for mapped in ledger.machine.mapped.values(extent)):
            wrong.append(f"ledger and stage-2 table disagree about {extent}")
        if not monitor.guard.on and state is not State.NW:
            wrong.append(f"{extent} is {state.name} and stage-2 protection is off")
    if not recount == sum(ledger.counters().values()) == memory.total // PAGE_BYTES:
        wrong.append("the ledger's counters do not sum to all pages")
    if ledger.count(*FLEX, State.CLAIMED) * PAGE_BYTES < memory.held:
        wrong.append("fewer pages are protected or claimed than inference holds bytes")
    reached = monitor.smmu.extents(NPU_SECURE)
    if serving is None and (reached or monitor.npu.mode != "normal"):
        wrong.append("nothing is served and the secure world has the NPU")
    if any(state not in FLEX for extent in reached for _, state, _ in ledger.pieces(extent)):
        wrong.append("the NPU reaches a page that is not protected")
    if monitor.on_demand and monitor.guard.on != (serving is not None or memory.held > 0):
        wrong.append("stage-2 tables are not as the server charges for them")
    return wrong
