"""No page is readable in the normal world with a secret in it, none returns unscrubbed, each has one owner."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from remeasure.impls.flexserve.policy.pages import (
    EDGES,
    FLEX,
    MONITOR,
    NORMAL_WORLD,
    Effects,
    Ledger,
    Refused,
    State,
)
from remeasure.impls.flexserve.policy.reclaim import select
from remeasure.impls.flexserve.policy.runs import Extent, Runs

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


EXTENTS = st.lists(
    st.builds(Extent, st.integers(-2, PAGES), st.integers(-1, 6))
    | st.builds(Extent, st.integers(0, 11), st.just(3)),
    min_size=1,
    max_size=3,
)
OWNERS = st.sampled_from(["a/0", "a/1", "b/0"])


class Pages(RuleBasedStateMachine):
    """Every operation on any extents, sound or not, beside a model that knows each page by itself."""

    ledger_class: type[Ledger] = Ledger

    @initialize()
    def boot(self) -> None:
        self.machine = Machine()
        self.ledger = self.ledger_class(PAGES, self.machine)
        self.state = [State.NW] * PAGES

    def attempt(
        self, operation: Callable[..., None], extents: list[Extent], new: State, **more: object
    ) -> bool:
        """Do it; it must be refused exactly when some page may not move, and then nothing may have changed."""
        pages = [page for extent in extents for page in range(extent.start, extent.end)]
        sound = len(set(pages)) == len(pages) and all(
            extent.pages > 0 and extent.start >= 0 and extent.end <= PAGES for extent in extents
        )
        legal = sound and all((self.state[page], new) in EDGES for page in pages)
        before = self.ledger.counters(), list(self.machine.content)
        try:
            operation(extents, **more)
        except Refused:
            assert not legal, "a legal step was refused"
            assert before == (self.ledger.counters(), self.machine.content), "refused, but something changed"
            return False
        assert legal, "9: an illegal step was done"
        for page in pages:
            self.state[page] = new
        return True

    @rule(extents=EXTENTS, owner=OWNERS, ciphertext=st.booleans())
    def protect(self, extents: list[Extent], owner: str, ciphertext: bool) -> None:
        new = State.FLEX_CIPHER if ciphertext else State.FLEX_EMPTY
        if self.attempt(self.ledger.protect, extents, new, owner=owner, ciphertext=ciphertext):
            for extent in extents:
                self.machine.write(extent, CIPHER if ciphertext else ZERO)

    @rule(pages=st.integers(1, 8), owner=OWNERS)
    def protect_what_an_honest_kernel_offers(self, pages: int, owner: str) -> None:
        offer = self.ledger.offer(pages)
        assert sum(extent.pages for extent in offer) == min(pages, self.ledger.count(State.NW))
        if offer:
            assert self.attempt(self.ledger.protect, offer, State.FLEX_EMPTY, owner=owner)

    @rule(extents=EXTENTS)
    def fill(self, extents: list[Extent]) -> None:
        if self.attempt(self.ledger.fill, extents, State.FLEX_PLAIN):
            self.write_secrets(extents)

    @rule(owner=OWNERS)
    def fill_all(self, owner: str) -> None:
        extents = [
            e for e, state, of in self.ledger.pieces() if of == owner and state is not State.FLEX_PLAIN
        ]
        if extents:
            assert self.attempt(self.ledger.fill, extents, State.FLEX_PLAIN)
            self.write_secrets(extents)

    def write_secrets(self, extents: list[Extent]) -> None:
        for extent in extents:
            self.machine.write(extent, SECRET)

    @rule(extents=EXTENTS)
    def claim(self, extents: list[Extent]) -> None:
        self.attempt(self.ledger.claim, extents, State.CLAIMED)

    @rule(extents=EXTENTS)
    def scrub(self, extents: list[Extent]) -> None:
        self.attempt(self.ledger.scrub, extents, State.SCRUBBED)

    @rule(extents=EXTENTS)
    def release(self, extents: list[Extent]) -> None:
        if self.attempt(self.ledger.release, extents, State.NW):
            for extent in extents:
                assert all(self.machine.content[p] == ZERO for p in range(extent.start, extent.end)), (
                    "2: not zero"
                )
                self.machine.write(extent, THEIRS)

    @rule(which=st.integers(0, PAGES), step=st.sampled_from(["fill", "claim", "scrub", "release"]))
    def step_of_one_run(self, which: int, step: str) -> None:
        pieces = self.ledger.pieces()
        getattr(self, step)([pieces[which % len(pieces)][0]])

    @rule(request=st.integers(1, PAGES))
    def reclaim(self, request: int) -> None:
        """What the monitor does when the normal world asks for memory."""
        held = {owner: self.ledger.count(State.FLEX_PLAIN, owner=owner) for owner in ("a/0", "a/1", "b/0")}
        cached = {"a": [held["a/0"], held["a/1"]], "b": [held["b/0"]]}
        before = self.ledger.count(State.CLAIMED)
        for victim in select(cached, {}, {}, request):
            wanted = [
                e
                for e, s, o in self.ledger.pieces()
                if (s, o) == (State.FLEX_PLAIN, f"{victim.model}/{victim.part}")
            ]
            assert self.attempt(self.ledger.claim, wanted, State.CLAIMED)
        assert self.ledger.count(State.CLAIMED) - before >= min(request, sum(held.values())), "8: too little"

    @rule()
    def give_back_what_is_claimed(self) -> None:
        for operation, old, new in (
            (self.ledger.scrub, State.CLAIMED, State.SCRUBBED),
            (self.ledger.release, State.SCRUBBED, State.NW),
        ):
            extents = [extent for extent, state, _ in self.ledger.pieces() if state is old]
            if extents:
                assert self.attempt(operation, extents, new)
        for page, state in enumerate(self.state):
            if state is State.NW and self.machine.content[page] != THEIRS:
                assert self.machine.content[page] == ZERO, "2: came back unscrubbed"

    @invariant()
    def sound(self) -> None:
        if hasattr(self, "ledger"):
            assert not faults(self.ledger, self.machine)
            assert [self.ledger.state(page) for page in range(PAGES)] == self.state


def run(ledger_class: type[Ledger]) -> None:
    machine = type("Run", (Pages,), {"ledger_class": ledger_class})
    search = settings(
        max_examples=100,
        stateful_step_count=25,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        derandomize=True,
    )
    run_state_machine_as_test(machine, settings=search)


def test_pages_stay_secret_scrubbed_and_owned_whatever_is_asked() -> None:
    run(Ledger)


class DecryptsBeforeProtecting(Ledger):
    """Takes pages as protected, but unmaps them only after they were filled."""

    def protect(self, offer: Iterable[Extent], owner: str, *, ciphertext: bool = False) -> None:
        effects, self._effects = self._effects, []
        super().protect(offer, owner, ciphertext=ciphertext)
        self._effects = effects

    def claim(self, extents: Iterable[Extent]) -> None:
        for extent in (listed := list(extents)):
            self._effects[0].unmap(extent)
        super().claim(listed)


class FillsUnprotectedPages(Ledger):
    """Lets plaintext into pages that are still the normal world's."""

    def fill(self, extents: Iterable[Extent]) -> None:
        super().fill(e for e in extents if self.state(e.start) is not State.NW)


class SkipsZero(Ledger):
    """Says scrubbed and leaves the plaintext."""

    def scrub(self, extents: Iterable[Extent]) -> None:
        effects, self._effects = self._effects, []
        super().scrub(extents)
        self._effects = effects


class RemapsAtClaim(Ledger):
    """Gives pages back when they are promised, before they are scrubbed."""

    def claim(self, extents: Iterable[Extent]) -> None:
        for extent in (listed := list(extents)):
            self._effects[0].remap(extent)
        super().claim(listed)


class ReleasesClaimedPages(Ledger):
    """Skips the scrubbing altogether."""

    def release(self, extents: Iterable[Extent]) -> None:
        listed = list(extents)
        for extent in listed:
            for piece, (state, _) in list(self._pages.pieces(extent)):
                if state is State.CLAIMED:
                    self._move(piece, State.SCRUBBED)
        super().release(listed)


class TrustsTheKernel(Ledger):
    """Takes whatever is offered (Iago)."""

    def _check(self, extents: list[Extent], new: State) -> None:  # type: ignore[override]
        if new not in (State.FLEX_EMPTY, State.FLEX_CIPHER):
            super()._check(extents, new)


class LosesPages(Ledger):
    """Counts an extent as one page."""

    def _move(self, extent: Extent, new: State, owner: str | None = None) -> None:
        super()._move(extent, new, owner)
        self._counts[(new, self.owner(extent.start))] -= extent.pages - 1


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


@pytest.mark.parametrize(
    "mutant",
    [
        DecryptsBeforeProtecting,
        FillsUnprotectedPages,
        SkipsZero,
        RemapsAtClaim,
        ReleasesClaimedPages,
        TrustsTheKernel,
        LosesPages,
    ],
)
def test_a_broken_monitor_is_found_by_the_search(mutant: type[Ledger]) -> None:
    with pytest.raises((AssertionError, IndexError)):
        run(mutant)


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


@given(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 12), st.integers(0, 2)), max_size=12))
def test_runs_are_a_list_of_values(puts: list[tuple[int, int, int]]) -> None:
    runs, plain = Runs(12, 0), [0] * 12
    for start, pages, value in puts:
        pages = min(pages, 12 - start)
        runs.put(Extent(start, pages), value)
        plain[start : start + pages] = [value] * pages
        assert [runs.at(page) for page in range(12)] == plain
        assert [v for extent, v in runs.pieces() for _ in range(extent.pages)] == plain
        assert len(runs) == 1 + sum(a != b for a, b in pairwise(plain)), "neighbours unmerged"
        part = Extent(start, pages)
        assert [v for e, v in runs.pieces(part) for _ in range(e.pages)] == plain[start : start + pages]
    runs.change(Extent(0, 12), lambda value: value + 1)
    assert [runs.at(page) for page in range(12)] == [value + 1 for value in plain]


def test_runs_end_where_the_pages_end() -> None:
    runs = Runs(4, "x")
    for extent in (Extent(-1, 2), Extent(3, 2)):
        with pytest.raises(IndexError):
            runs.put(extent, "y")
    for page in (-1, 4):
        with pytest.raises(IndexError):
            runs.at(page)
