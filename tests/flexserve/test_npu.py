"""The NPU is reachable by one world at a time, and no device reaches what the other world holds (invariant 4)."""

from __future__ import annotations

import pytest
from flexserve.state_search import TILL_FOUND, search
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from remeasure.impls.flexserve.policy.npu import NPU, NPU_SECURE, Npu, Smmu
from remeasure.impls.flexserve.policy.pages import FLEX, Ledger, Refused, State
from remeasure.impls.flexserve.policy.runs import Extent

PAGES = 10


def faults(ledger: Ledger, smmu: Smmu, npu: Npu) -> list[str]:
    """What of invariant 4 does not hold."""
    found = []
    if len(npu.mmio) != 1:
        found.append("the registers are reachable by both worlds, or by none")
    if ("normal world" in npu.mmio) != (npu.mode == "normal"):
        found.append("the registers are not where the mode says")
    for page in range(PAGES):
        flex, tables = ledger.state(page) in FLEX, smmu.tables(page)
        if npu.table in tables and flex != (npu.mode == "secure"):
            found.append(f"the NPU reaches page {page}, {ledger.state(page).name}, in {npu.mode} mode")
        if ledger.state(page) is not State.NW and tables - {NPU_SECURE}:
            found.append(f"a device of the normal world reaches page {page}")
        if not flex and NPU_SECURE in tables:
            found.append(f"page {page} stayed in the secure table")
    return found


EXTENT = st.builds(Extent, st.integers(0, PAGES - 1), st.integers(1, 5))


class Machine(RuleBasedStateMachine):
    smmu_class: type[Smmu] = Smmu
    npu_class: type[Npu] = Npu

    @initialize()
    def boot(self) -> None:
        self.ledger = Ledger(PAGES)
        self.smmu = self.smmu_class(self.ledger)
        self.npu = self.npu_class(self.smmu)

    def states(self, extent: Extent) -> set[State]:
        inside = range(extent.start, min(extent.end, PAGES))
        return {self.ledger.state(page) for page in inside} if extent.end <= PAGES else set(State)

    @rule(extent=EXTENT, table=st.sampled_from([NPU, "display"]))
    def normal_world_maps(self, extent: Extent, table: str) -> None:
        if self.states(extent) == {State.NW}:
            self.smmu.map(table, [extent])
        else:
            with pytest.raises(Refused):
                self.smmu.map(table, [extent])

    @rule(extent=EXTENT)
    def protect(self, extent: Extent) -> None:
        if self.states(extent) == {State.NW}:
            self.ledger.protect([extent], "m")
            self.ledger.fill([extent])

    @rule(extent=EXTENT)
    def reclaim(self, extent: Extent) -> None:
        if extent.end <= PAGES:
            self.ledger.claim([piece for piece, state, _ in self.ledger.pieces(extent) if state in FLEX])

    @rule()
    def give_back(self) -> None:
        for step, old in ((self.ledger.scrub, State.CLAIMED), (self.ledger.release, State.SCRUBBED)):
            step([extent for extent, state, _ in self.ledger.pieces() if state is old])

    @rule(extent=EXTENT)
    def enter(self, extent: Extent) -> None:
        if self.npu.mode == "normal" and self.states(extent) <= FLEX:
            self.npu.enter([extent])
        else:
            with pytest.raises(Refused):
                self.npu.enter([extent])

    @rule()
    def enter_with_all(self) -> None:
        if self.npu.mode == "normal":
            self.npu.enter([extent for extent, state, _ in self.ledger.pieces() if state in FLEX])

    @rule(extent=EXTENT)
    def extend(self, extent: Extent) -> None:
        if self.npu.mode == "secure" and self.states(extent) <= FLEX:
            self.npu.extend([extent])
        else:
            with pytest.raises(Refused):
                self.npu.extend([extent])

    @rule()
    def leave(self) -> None:
        if self.npu.mode == "secure":
            self.npu.leave()
        else:
            with pytest.raises(Refused):
                self.npu.leave()

    @rule()
    def launch(self) -> None:
        self.npu.launch(self.npu.mode)
        with pytest.raises(Refused):
            self.npu.launch("normal" if self.npu.mode == "secure" else "secure")

    @invariant()
    def exclusive(self) -> None:
        if hasattr(self, "npu"):
            assert not faults(self.ledger, self.smmu, self.npu)


def run(examples: int, smmu_class: type[Smmu] = Smmu, npu_class: type[Npu] = Npu) -> None:
    search(Machine, examples=examples, steps=20, smmu_class=smmu_class, npu_class=npu_class)


def test_no_world_reaches_the_others_memory_through_a_device() -> None:
    run(100)


class ForgetsTheSmmuRevert(Npu):
    def leave(self) -> None:
        held = self._smmu.extents(NPU_SECURE)
        super().leave()
        self._smmu.map(NPU_SECURE, held)
        self.table = NPU_SECURE


class LeavesRegistersMapped(Npu):
    def enter(self, extents: object) -> None:
        before = self.mmio
        super().enter(extents)  # type: ignore[arg-type]
        self.mmio |= before


class ForgetsTheRegistersOnExit(Npu):
    def leave(self) -> None:
        super().leave()
        self.mmio = frozenset({"sandbox"})


class KeepsDmaOfProtectedPages(Smmu):
    def unmap(self, extent: Extent) -> None:
        pass


class KeepsDmaOfReclaimedPages(Smmu):
    def revoke(self, extent: Extent) -> None:
        pass


class MapsAnything(Smmu):
    def map(self, table: str, extents: object) -> None:
        for extent in extents:  # type: ignore[attr-defined]
            self._tables.change(extent, lambda tables: tables | {table})


@pytest.mark.parametrize(
    "npu_class", [ForgetsTheSmmuRevert, LeavesRegistersMapped, ForgetsTheRegistersOnExit]
)
def test_a_switch_that_forgets_a_step_is_noticed(npu_class: type[Npu]) -> None:
    with pytest.raises(AssertionError):
        run(TILL_FOUND, npu_class=npu_class)


@pytest.mark.parametrize("smmu_class", [KeepsDmaOfProtectedPages, KeepsDmaOfReclaimedPages])
def test_a_table_that_keeps_pages_is_noticed(smmu_class: type[Smmu]) -> None:
    with pytest.raises(AssertionError):
        run(TILL_FOUND, smmu_class=smmu_class)


def test_a_table_that_takes_any_page_is_noticed() -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception, IndexError)):
        run(TILL_FOUND, smmu_class=MapsAnything)


def test_forgetting_the_smmu_revert_leaves_secrets_in_reach() -> None:
    ledger = Ledger(PAGES)
    smmu = Smmu(ledger)
    ledger.protect([Extent(0, 4)], "m")
    for npu, wrong in ((Npu(smmu), False), (ForgetsTheSmmuRevert(smmu), True)):
        npu.enter([Extent(0, 4)])
        assert not faults(ledger, smmu, npu)
        npu.leave()
        assert bool(faults(ledger, smmu, npu)) == wrong


def test_the_normal_world_gets_its_table_back_without_pages_protected_meanwhile() -> None:
    ledger = Ledger(PAGES)
    smmu = Smmu(ledger)
    npu = Npu(smmu)
    smmu.map(NPU, [Extent(4, 4)])
    ledger.protect([Extent(0, 2)], "m")
    npu.enter([Extent(0, 2)])
    assert npu.table == NPU_SECURE
    ledger.protect([Extent(6, 2)], "m")
    npu.extend([Extent(6, 2)])
    npu.leave()
    assert npu.table == NPU and smmu.extents(NPU) == [Extent(4, 2)] and not smmu.extents(NPU_SECURE)


def test_the_registers_are_never_mapped_in_both_worlds_during_a_switch() -> None:
    seen: list[tuple[str, object]] = []

    class Watched(Npu):
        def __setattr__(self, name: str, value: object) -> None:
            seen.append((name, value))
            super().__setattr__(name, value)

    ledger = Ledger(PAGES)
    npu = Watched(Smmu(ledger))
    ledger.protect([Extent(0, 1)], "m")
    npu.enter([Extent(0, 1)])
    npu.leave()
    steps = [len(value) if name == "mmio" else name for name, value in seen[-8:]]  # type: ignore[arg-type]
    assert steps == [0, "table", 1, "mode", 0, "table", 1, "mode"]
