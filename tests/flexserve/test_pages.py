"""The ledger step by step: what a page may do in each state, who owns it, and what a lying kernel is refused."""

from __future__ import annotations

import pytest
from flexserve.bare_pages import PAGES, SECRET, Machine, faults
from flexserve.broken_ledgers import DecryptsBeforeProtecting, LosesPages, RemapsAtClaim, SkipsZero

from remeasure.impls.flexserve.policy.pages import FLEX, MONITOR, NORMAL_WORLD, Ledger, Refused, State
from remeasure.impls.flexserve.policy.runs import Extent


def fill_some(ledger: Ledger, machine: Machine) -> list[Extent]:
    extents = [Extent(2, 3), Extent(8, 1)]
    ledger.protect(extents, "a/0")
    ledger.fill(extents)
    for extent in extents:
        machine.write(extent, SECRET)
    return extents


def give_back(ledger: Ledger, machine: Machine) -> list[str]:
    """All steps of a page's life; what was wrong after any of them."""
    extents = fill_some(ledger, machine)
    found = faults(ledger, machine)
    for step in (ledger.claim, ledger.scrub, ledger.release):
        step(extents)
        found += faults(ledger, machine)
    return found


@pytest.mark.parametrize(
    ("mutant", "number"),
    [(DecryptsBeforeProtecting, "1:"), (SkipsZero, "2:"), (RemapsAtClaim, "1:"), (LosesPages, "8:")],
)
def test_a_broken_monitor_breaks_its_invariant(mutant: type[Ledger], number: str) -> None:
    machine = Machine()
    assert not give_back(Ledger(PAGES, machine), machine)
    machine = Machine()
    assert any(fault.startswith(number) for fault in give_back(mutant(PAGES, machine), machine))


def test_an_early_access_waits_until_the_page_is_scrubbed_and_mapped() -> None:
    machine = Machine()
    ledger = Ledger(PAGES, machine)
    extents = fill_some(ledger, machine)
    assert (ledger.access("normal", 2), ledger.access("secure", 2)) == ("refused", "allowed")
    ledger.claim(extents)
    assert (ledger.access("normal", 2), ledger.access("secure", 2)) == ("blocked", "refused")
    assert ledger.owner(2) == MONITOR
    ledger.scrub(extents)
    assert (ledger.access("normal", 2), ledger.access("secure", 2)) == ("blocked", "refused")
    ledger.release(extents)
    assert (ledger.access("normal", 2), ledger.access("secure", 2)) == ("allowed", "allowed")
    with pytest.raises(IndexError):
        ledger.access("normal", PAGES)


@pytest.mark.parametrize(
    "offer",
    [
        [Extent(0, 2), Extent(0, 2)],
        [Extent(0, 3), Extent(2, 2)],
        [Extent(PAGES - 1, 2)],
        [Extent(-1, 2)],
        [Extent(3, 0)],
        [Extent(3, -1)],
        [Extent(9, 2)],
        [Extent(4, 5)],
    ],
    ids=[
        "twice",
        "overlapping",
        "past the end",
        "before the start",
        "empty",
        "negative",
        "taken",
        "partly taken",
    ],
)
def test_a_lying_kernel_is_refused(offer: list[Extent]) -> None:
    machine = Machine()
    ledger = Ledger(PAGES, machine)
    ledger.protect([Extent(8, 4)], "a/0")
    before = ledger.pieces()
    with pytest.raises(Refused):
        ledger.protect([Extent(14, 1), *offer], "b/0")
    assert ledger.pieces() == before and 14 in machine.mapped


def test_protected_pages_belong_to_somebody_secure() -> None:
    for owner in (NORMAL_WORLD, MONITOR):
        with pytest.raises(Refused, match="cannot own"):
            Ledger(PAGES).protect([Extent(0, 1)], owner)


def test_counting_by_state_and_owner() -> None:
    ledger = Ledger(PAGES)
    ledger.protect([Extent(0, 2)], "a/0")
    ledger.protect([Extent(4, 3)], "b/0", ciphertext=True)
    ledger.fill([Extent(4, 1)])
    assert ledger.count() == PAGES and ledger.count(*FLEX) == ledger.protected == 5
    assert ledger.count(owner="b/0") == 3 and ledger.count(State.FLEX_CIPHER, owner="b/0") == 2
    assert ledger.extents("b/0") == [Extent(4, 1), Extent(5, 2)]


def test_sixteen_gibibytes_are_a_handful_of_runs() -> None:
    ledger = Ledger(4 << 20)
    for part in range(32):
        extents = ledger.offer(60_000)
        ledger.protect(extents, f"8b/{part}")
        ledger.fill(extents)
    assert len(ledger.pieces()) == 33
    for part in reversed(range(32)):
        extents = ledger.extents(f"8b/{part}")
        ledger.claim(extents)
        ledger.scrub(extents)
        ledger.release(extents)
    assert ledger.pieces() == [(Extent(0, 4 << 20), State.NW, NORMAL_WORLD)]
