"""Mutants of the page ledger, each with one rule of its states broken; the checks of pages have to catch them."""

from __future__ import annotations

from collections.abc import Iterable

from remeasure.impls.flexserve.policy.pages import Ledger, State
from remeasure.impls.flexserve.policy.runs import Extent


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
