"""Stage-2 protection is off only while there is nothing to protect, and comes back only unchanged (invariant 7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flexserve.state_search import TILL_FOUND, search
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from remeasure.impls.flexserve.policy import guard as guard_module
from remeasure.impls.flexserve.policy.guard import Guard, fingerprint
from remeasure.impls.flexserve.policy.npu import Npu, Smmu
from remeasure.impls.flexserve.policy.pages import Effects, Ledger, Refused, State
from remeasure.impls.flexserve.policy.runs import Extent
from remeasure.impls.flexserve.systems import FLEXSERVE

IMAGE, TABLES = b"monitor", b"stage-2 tables"
PAGES = 4


class Machine(RuleBasedStateMachine):
    guard_class: type[Guard] = Guard

    @initialize()
    def boot(self) -> None:
        self.ledger = Ledger(PAGES)
        self.npu = Npu(Smmu(self.ledger))
        self.guard = self.guard_class(self.ledger, self.npu)
        self.tampered = False

    def attempt(self, legal: bool, step: object, *arguments: object) -> None:
        try:
            step(*arguments)  # type: ignore[operator]
        except Refused:
            assert not legal, "a legal step was refused"
        else:
            assert legal, "an illegal step was done"

    @rule(page=st.integers(0, PAGES - 1))
    def protect(self, page: int) -> None:
        legal = self.guard.on and self.ledger.may_read("normal", page)
        self.attempt(legal, self.ledger.protect, [Extent(page, 1)], "m")

    @rule(steps=st.integers(1, 4))
    def reclaim(self, steps: int) -> None:
        way = (
            (State.FLEX_EMPTY, self.ledger.fill),
            (State.FLEX_PLAIN, self.ledger.claim),
            (State.CLAIMED, self.ledger.scrub),
            (State.SCRUBBED, self.ledger.release),
        )
        for old, step in way[:steps]:
            step([extent for extent, state, _ in self.ledger.pieces() if state is old])

    @rule()
    def use_npu(self) -> None:
        if self.ledger.extents("m") and self.npu.mode == "normal":
            self.npu.enter(self.ledger.extents("m"))

    @rule()
    def leave_npu(self) -> None:
        if self.npu.mode == "secure":
            self.npu.leave()

    @rule()
    def disable(self) -> None:
        idle = self.guard.on and not self.ledger.protected and self.npu.mode == "normal"
        self.attempt(idle, self.guard.disable, IMAGE, TABLES)

    @rule(image=st.sampled_from([IMAGE, b"Monitor", IMAGE[:-1]]), tables=st.sampled_from([TABLES, b""]))
    def enable(self, image: bytes, tables: bytes) -> None:
        legal = not self.guard.on and (image, tables) == (IMAGE, TABLES)
        self.attempt(legal, self.guard.enable, image, tables)

    @invariant()
    def off_only_with_nothing_to_protect(self) -> None:
        if hasattr(self, "guard") and not self.guard.on:
            assert not self.ledger.protected and self.npu.mode == "normal"


def run(examples: int, guard_class: type[Guard]) -> None:
    search(Machine, examples=examples, steps=20, guard_class=guard_class)


def test_protection_is_off_only_while_nothing_is_protected() -> None:
    run(1500, Guard)


class IgnoresPages(Guard):
    def disable(self, image: bytes, tables: bytes) -> None:  # type: ignore[override]
        self._ledger, kept = Ledger(PAGES), self._ledger
        super().disable(image, tables)
        self._ledger = kept


class IgnoresTheNpu(Guard):
    def disable(self, image: bytes, tables: bytes) -> None:  # type: ignore[override]
        self._npu, kept = Npu(Smmu(Ledger(PAGES))), self._npu
        super().disable(image, tables)
        self._npu = kept


class TrustsTheImage(Guard):
    def enable(self, image: bytes, tables: bytes) -> None:  # type: ignore[override]
        super().enable(IMAGE, TABLES)


class ProtectsWhileOff(Guard):
    def check_protect(self, extents: object) -> None:
        pass


@pytest.mark.parametrize("mutant", [IgnoresPages, IgnoresTheNpu, TrustsTheImage, ProtectsWhileOff])
def test_a_guard_that_forgets_a_condition_is_noticed(mutant: type[Guard]) -> None:
    with pytest.raises(AssertionError):
        run(TILL_FOUND, mutant)


def off() -> Guard:
    ledger = Ledger(PAGES)
    guard = Guard(ledger, Npu(Smmu(ledger)))
    guard.disable(IMAGE, TABLES)
    return guard


def survives_tampering(bit: int) -> bool:
    """Whether one flipped bit of image and tables is refused, and the untouched ones are accepted after it."""
    whole = bytearray(IMAGE + TABLES)
    whole[bit // 8] ^= 1 << bit % 8
    guard = off()
    try:
        guard.enable(bytes(whole[: len(IMAGE)]), bytes(whole[len(IMAGE) :]))
    except Refused:
        assert not guard.on
        guard.enable(IMAGE, TABLES)
        return guard.on
    return False


@given(st.integers(0, 8 * len(IMAGE + TABLES) - 1))
def test_one_flipped_bit_keeps_protection_off(bit: int) -> None:
    assert survives_tampering(bit)


def test_a_fingerprint_of_the_image_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard_module, "fingerprint", lambda image, tables: fingerprint(image, b""))
    assert survives_tampering(0) and not survives_tampering(8 * len(IMAGE))


def test_no_byte_changes_sides_unseen() -> None:
    assert fingerprint(IMAGE + TABLES[:1], TABLES[1:]) != fingerprint(IMAGE, TABLES)
    with pytest.raises(Refused, match="changed"):
        off().enable(IMAGE + TABLES[:1], TABLES[1:])


def test_cached_weights_and_protection_off_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        replace(FLEXSERVE, on_demand=True)
    ledger = Ledger(PAGES)
    guard = Guard(ledger, Npu(Smmu(ledger)))
    ledger.protect([Extent(0, 1)], "cached weights")
    with pytest.raises(Refused, match=r"1 pages are still protected.*exclude each other"):
        guard.disable(IMAGE, TABLES)
    assert guard.on


def test_pages_refused_while_off_stay_as_they_were() -> None:
    ledger = Ledger(PAGES)
    seen: list[Extent] = []

    class Records(Effects):
        def unmap(self, extent: Extent) -> None:
            seen.append(extent)

    ledger.attach(Records())
    guard = Guard(ledger, Npu(Smmu(ledger)))
    guard.disable(IMAGE, TABLES)
    with pytest.raises(Refused, match="switch it on"):
        ledger.protect([Extent(0, 1)], "m")
    assert not seen and not ledger.protected
