"""A value for every page of a machine, kept as runs of equal values: its cost follows the runs, not the pages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, order=True)
class Extent:
    """Neighbouring pages."""

    start: int
    """Number of the first page."""
    pages: int
    """How many there are."""

    @property
    def end(self) -> int:
        """Number of the page after the last."""
        return self.start + self.pages


class Runs(Generic[T]):
    """Page number → value; equal neighbours are one run."""

    def __init__(self, total: int, value: T) -> None:
        self.total = total
        self._starts = [0] if total else []
        self._values = [value] if total else []

    def __len__(self) -> int:
        """Number of runs."""
        return len(self._starts)

    def at(self, page: int) -> T:
        """Value of a page; IndexError for a page that does not exist."""
        if not 0 <= page < self.total:
            raise IndexError(f"page {page} is not one of {self.total}")
        return self._values[bisect_right(self._starts, page) - 1]

    def pieces(self, extent: Extent | None = None) -> Iterator[tuple[Extent, T]]:
        """Runs in order of pages; those of an extent are cut to it. The map must not change meanwhile."""
        start, end = (extent.start, extent.end) if extent else (0, self.total)
        index = max(0, bisect_right(self._starts, start) - 1)
        while index < len(self._starts) and self._starts[index] < end:
            begins = max(start, self._starts[index])
            following = self._starts[index + 1] if index + 1 < len(self._starts) else self.total
            yield Extent(begins, min(end, following) - begins), self._values[index]
            index += 1

    def put(self, extent: Extent, value: T) -> None:
        """Give all pages of an extent one value; IndexError if it reaches outside."""
        if extent.pages <= 0:
            return
        if extent.start < 0 or extent.end > self.total:
            raise IndexError(f"{extent} reaches outside the {self.total} pages")
        first = self._cut(extent.start)
        last = self._cut(extent.end)
        self._starts[first:last] = [extent.start]
        self._values[first:last] = [value]
        for index in (first + 1, first):  # merge with the run after, then with the run before
            if 0 < index < len(self._starts) and self._values[index] == self._values[index - 1]:
                del self._starts[index], self._values[index]

    def change(self, extent: Extent, new: Callable[[T], T]) -> None:
        """Replace every value in an extent by what `new` makes of it."""
        for piece, value in list(self.pieces(extent)):
            self.put(piece, new(value))

    def _cut(self, page: int) -> int:
        """Index of the run that begins at a page, which is split off if it did not begin one."""
        index = bisect_left(self._starts, page)
        if page < self.total and (index == len(self._starts) or self._starts[index] != page):
            self._starts.insert(index, page)
            self._values.insert(index, self._values[index - 1])
        return index
