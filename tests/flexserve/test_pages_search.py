"""Searched: no page is readable with a secret in it, none returns unscrubbed, each has one owner, whatever is asked."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flexserve.bare_pages import CIPHER, PAGES, SECRET, THEIRS, ZERO, Machine, faults
from flexserve.broken_ledgers import (
    DecryptsBeforeProtecting,
    FillsUnprotectedPages,
    LosesPages,
    ReleasesClaimedPages,
    RemapsAtClaim,
    SkipsZero,
    TrustsTheKernel,
)
from flexserve.state_search import TILL_FOUND, search
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from remeasure.impls.flexserve.policy.pages import EDGES, Ledger, Refused, State
from remeasure.impls.flexserve.policy.reclaim import select
from remeasure.impls.flexserve.policy.runs import Extent

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


def test_pages_stay_secret_scrubbed_and_owned_whatever_is_asked() -> None:
    search(Pages, examples=100, steps=25, ledger_class=Ledger)


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
        search(Pages, examples=TILL_FOUND, steps=25, ledger_class=mutant)
