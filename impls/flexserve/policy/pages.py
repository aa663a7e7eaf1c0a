"""The monitor's ledger of pages (June §4, Flex-Mem): states, owners, and what the untrusted kernel may do.

NW → FLEX_EMPTY or FLEX_CIPHER → FLEX_PLAIN → CLAIMED → SCRUBBED → NW, and no other edge. Permission follows from the
state, so that a page cannot be readable in the normal world while plaintext lies in it. The ledger decides; what
really maps, zeroes or is charged for is done by the `Effects` that are given to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from itertools import pairwise
from typing import Literal

from .runs import Extent, Runs

PAGE_BYTES = 4096
World = Literal["normal", "secure"]
Access = Literal["allowed", "blocked", "refused"]
NORMAL_WORLD = "normal world"
MONITOR = "monitor"


class State(Enum):
    """What a page is, and what may lie in it."""

    NW = "normal world's"
    FLEX_EMPTY = "protected, nothing secret in it"
    FLEX_CIPHER = "protected, ciphertext in it"
    FLEX_PLAIN = "protected, plaintext in it"
    CLAIMED = "promised to the normal world, plaintext still in it"
    SCRUBBED = "zeroed, not yet mapped in the normal world"

    __hash__ = object.__hash__  # that of Enum is not written in C, and every change of a page asks for it


FLEX = frozenset({State.FLEX_EMPTY, State.FLEX_CIPHER, State.FLEX_PLAIN})
EDGES = frozenset(
    {
        (State.NW, State.FLEX_EMPTY),
        (State.NW, State.FLEX_CIPHER),
        (State.FLEX_EMPTY, State.FLEX_PLAIN),
        (State.FLEX_CIPHER, State.FLEX_PLAIN),
        (State.FLEX_PLAIN, State.CLAIMED),
        (State.CLAIMED, State.SCRUBBED),
        (State.SCRUBBED, State.NW),
    }
)
ORDINARY = (State.NW, NORMAL_WORLD)
"""State and owner of every page that nobody protects."""


class Refused(Exception):
    """The monitor will not do what was asked, and has changed nothing."""


class Effects:
    """What a change of the ledger does to the machine; each is called just before the ledger records the change.

    The methods do nothing here: a backend overrides those it has. One that raises Refused in `check_protect` stops it.
    """

    def check_protect(self, extents: Sequence[Extent]) -> None:
        """Last word before pages are protected; raises Refused."""

    def unmap(self, extent: Extent) -> None:
        """Leave the normal world's stage-2 table and every device's table that the normal world may fill."""

    def revoke(self, extent: Extent) -> None:
        """Leave the secure application and the secure NPU's table."""

    def zero(self, extent: Extent) -> None:
        """Fill with zeros."""

    def remap(self, extent: Extent) -> None:
        """Enter the normal world's stage-2 table again."""


class Ledger:
    """State and owner of every page; the cost of an operation follows the extents it touches, not their pages.

    Owners are names, such as a model's part or its KV cache. Pages of the normal world belong to NORMAL_WORLD, pages
    on their way back to it to MONITOR. Every method either does all that was asked or raises Refused and does nothing.
    Not for several threads at once: the monitor is serial.
    """

    def __init__(self, total_pages: int, *effects: Effects) -> None:
        self.total_pages = total_pages
        self._effects = list(effects)
        self._pages = Runs(total_pages, ORDINARY)
        self._counts = {ORDINARY: total_pages}

    def attach(self, effects: Effects) -> None:
        """Let something else act on, or object to, what happens from now on."""
        self._effects.append(effects)

    def protect(self, offer: Iterable[Extent], owner: str, *, ciphertext: bool = False) -> None:
        """Take pages that the untrusted kernel offers: unmap them, then make them the owner's.

        `ciphertext`: ciphertext was put into them while they were unprotected. Refused are pages that do not exist,
        are offered twice in one offer, or are not the normal world's to give (the kernel may lie: Iago).
        """
        extents = list(offer)
        if owner in (NORMAL_WORLD, MONITOR):
            raise Refused(f"{owner!r} cannot own protected pages")
        new = State.FLEX_CIPHER if ciphertext else State.FLEX_EMPTY
        self._check(extents, new)
        for effects in self._effects:
            effects.check_protect(extents)
        for extent in extents:
            for effects in self._effects:
                effects.unmap(extent)
            self._move(extent, new, owner)

    def fill(self, extents: Iterable[Extent]) -> None:
        """Plaintext may lie in these pages from now on; call it before decrypting or computing into them."""
        listed = list(extents)
        self._check(listed, State.FLEX_PLAIN)
        for extent in listed:
            self._move(extent, State.FLEX_PLAIN)

    def claim(self, extents: Iterable[Extent]) -> None:
        """Promise pages to the normal world; they are nobody's to use until scrubbed and released.

        Pages whose filling was given up count as plaintext, since some of it may be there: `fill` them first.
        """
        listed = list(extents)
        self._check(listed, State.CLAIMED)
        for extent in listed:
            for effects in self._effects:
                effects.revoke(extent)
            self._move(extent, State.CLAIMED, MONITOR)

    def scrub(self, extents: Iterable[Extent]) -> None:
        """Zero claimed pages; KV must have been encrypted and written back before."""
        listed = list(extents)
        self._check(listed, State.SCRUBBED)
        for extent in listed:
            for effects in self._effects:
                effects.zero(extent)
            self._move(extent, State.SCRUBBED)

    def release(self, extents: Iterable[Extent]) -> None:
        """Map scrubbed pages in the normal world again; who was blocked on them may go on."""
        listed = list(extents)
        self._check(listed, State.NW)
        for extent in listed:
            for effects in self._effects:
                effects.remap(extent)
            self._move(extent, State.NW, NORMAL_WORLD)

    def access(self, world: World, page: int) -> Access:
        """What happens when a world touches a page; IndexError for a page that does not exist.

        blocked: the normal world got the page back before it was scrubbed; the access faults and waits for `release`.
        """
        state = self.state(page)
        if state is State.NW:
            return "allowed"
        if world == "secure":
            return "allowed" if state in FLEX else "refused"
        return "refused" if state in FLEX else "blocked"

    def may_read(self, world: World, page: int) -> bool:
        """Whether an access goes through now."""
        return self.access(world, page) == "allowed"

    def state(self, page: int) -> State:
        """State of one page; IndexError for a page that does not exist."""
        return self._pages.at(page)[0]

    def owner(self, page: int) -> str:
        """The one owner of one page; IndexError for a page that does not exist."""
        return self._pages.at(page)[1]

    def pieces(self, extent: Extent | None = None) -> list[tuple[Extent, State, str]]:
        """Runs of pages with one state and owner, in order; all, or those of an extent cut to it."""
        return [(piece, state, owner) for piece, (state, owner) in self._pages.pieces(extent)]

    def extents(self, owner: str) -> list[Extent]:
        """An owner's pages."""
        return [piece for piece, (_, other) in self._pages.pieces() if other == owner]

    def offer(self, pages: int) -> list[Extent]:
        """What an honest kernel offers: its lowest pages, not always contiguous; fewer where it has no more."""
        return self._pages.lowest(ORDINARY, pages)

    def counters(self) -> Mapping[tuple[State, str], int]:
        """Pages by state and owner; they sum to all pages."""
        return dict(self._counts)

    def count(self, *states: State, owner: str | None = None) -> int:
        """Pages in any of the states (none given: in all), of one owner or of all."""
        wanted = frozenset(states or State)
        return sum(
            pages for (state, of), pages in self._counts.items() if state in wanted and owner in (None, of)
        )

    @property
    def protected(self) -> int:
        """Pages out of the normal world's reach, those on their way back included."""
        return self.total_pages - self._counts.get(ORDINARY, 0)

    def _check(self, extents: Sequence[Extent], new: State) -> None:
        """Every page exists, is named once, and may move to the new state; else Refused."""
        for start, pages in extents:
            if pages <= 0 or start < 0 or start + pages > self.total_pages:
                raise Refused(f"{Extent(start, pages)} is not a range of the {self.total_pages} pages")
        if len(extents) > 1:
            for before, after in pairwise(sorted(extents)):
                if after.start < before.end:
                    raise Refused(f"{before} and {after} overlap")
        for extent in extents:
            for state, owner in self._pages.values(extent):
                if (state, new) not in EDGES:
                    at = next(piece for piece, held in self._pages.pieces(extent) if held == (state, owner))
                    raise Refused(f"{at} of {owner!r} is {state.name} and cannot become {new.name}")

    def _move(self, extent: Extent, new: State, owner: str | None = None) -> None:
        values = self._pages.values(extent)
        if len(values) == 1:  # all of it has one state and owner, as it mostly has
            self._move_piece(extent, values[0], new, owner)
        else:
            for piece, held in list(self._pages.pieces(extent)):
                self._move_piece(piece, held, new, owner)

    def _move_piece(self, piece: Extent, held: tuple[State, str], new: State, owner: str | None) -> None:
        now, counts = (new, held[1] if owner is None else owner), self._counts
        counts[now] = counts.get(now, 0) + piece.pages
        if counts[held] == piece.pages:
            del counts[held]
        else:
            counts[held] -= piece.pages
        self._pages.put(piece, now)
