"""One NPU for two worlds, one at a time (June §4, Flex-NPU), and the tables that bound what devices reach.

Every device has a table of pages that it may reach by DMA (SMMU). The NPU has two, of which one is active: the normal
world's, which its driver fills with its own pages, and the secure one, which holds protected pages only. The monitor
sees every change, because the SMMU's registers are not mapped in the normal world.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from .pages import FLEX, Effects, Ledger, Refused, State, World
from .runs import Extent, Runs

Where = Literal["normal world", "sandbox"]
NPU = "npu"
NPU_SECURE = "npu, secure table"


class Smmu(Effects):
    """The device tables: which pages which device's table holds."""

    def __init__(self, ledger: Ledger) -> None:
        """Empty tables, kept in step with the ledger from now on."""
        self._ledger = ledger
        self._tables: Runs[frozenset[str]] = Runs(ledger.total_pages, frozenset())
        ledger.attach(self)

    def map(self, table: str, extents: Iterable[Extent]) -> None:
        """Put pages into a table; Refused unless all are protected (secure table) or the normal world's (others)."""
        listed = list(extents)
        wanted = FLEX if table == NPU_SECURE else {State.NW}
        for extent in listed:
            if extent.pages <= 0 or extent.start < 0 or extent.end > self._ledger.total_pages:
                raise Refused(f"{extent} is not a range of the machine's pages")
            for piece, state, _ in self._ledger.pieces(extent):
                if state not in wanted:
                    raise Refused(f"{piece} is {state.name} and may not enter the table of {table!r}")
        for extent in listed:
            self._tables.change(extent, lambda tables: tables | {table})

    def clear(self, table: str) -> None:
        """Take all pages out of a table."""
        for extent in self.extents(table):
            self._tables.change(extent, lambda tables: tables - {table})

    def extents(self, table: str) -> list[Extent]:
        """Pages in a table."""
        return [extent for extent, tables in self._tables.pieces() if table in tables]

    def tables(self, page: int) -> frozenset[str]:
        """Names of the tables that a page is in."""
        return self._tables.at(page)

    def unmap(self, extent: Extent) -> None:
        """A page that is being protected leaves every device's table."""
        self._tables.put(extent, frozenset())

    def revoke(self, extent: Extent) -> None:
        """A page that is being reclaimed leaves the secure table."""
        self._tables.put(extent, frozenset())


class Npu:
    """Which world has the NPU. Launching from the other one is refused, and so is taking it while it is taken."""

    def __init__(self, smmu: Smmu) -> None:
        """In the normal world's hands."""
        self._smmu = smmu
        self.mode: World = "normal"
        self.mmio: frozenset[Where] = frozenset({"normal world"})
        """Whose stage-2 table maps the NPU's registers; the driver's code and data move with them."""
        self.table = NPU
        """The table that the SMMU uses for the NPU."""

    def enter(self, extents: Iterable[Extent]) -> None:
        """Give the NPU to the secure world: its registers and driver to the sandbox, its DMA to protected pages.

        Refused if it is there already or if a page is not protected; then nothing changes.
        """
        if self.mode == "secure":
            raise Refused("the NPU is in flex mode already")
        self._smmu.map(NPU_SECURE, extents)
        self.mmio = frozenset()  # first out of the one world, then into the other: never in both
        self.table = NPU_SECURE
        self.mmio = frozenset({"sandbox"})
        self.mode = "secure"

    def extend(self, extents: Iterable[Extent]) -> None:
        """More protected pages for a running task; Refused outside flex mode."""
        if self.mode != "secure":
            raise Refused("the NPU is not in flex mode")
        self._smmu.map(NPU_SECURE, extents)

    def leave(self) -> None:
        """Give it back: all three steps of `enter` undone, and the secure table emptied. Refused outside flex mode."""
        if self.mode != "secure":
            raise Refused("the NPU is not in flex mode")
        self.mmio = frozenset()
        self._smmu.clear(NPU_SECURE)
        self.table = NPU
        self.mmio = frozenset({"normal world"})
        self.mode = "normal"

    def launch(self, world: World) -> None:
        """Start a task; Refused for the world that does not have the NPU."""
        if world != self.mode:
            raise Refused(f"the NPU belongs to the {self.mode} world")
