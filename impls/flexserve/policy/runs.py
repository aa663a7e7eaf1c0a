"""A value for every page of a machine, kept as runs of equal values: its cost follows the runs, not the pages."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Extent(NamedTuple):
    """Neighbouring pages. Extents are made by the million, so they are tuples."""

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

    def values(self, extent: Extent) -> list[T]:
        """Values of the runs that an extent of existing pages touches, in order."""
        start, pages = extent
        first = bisect_right(self._starts, start)
        if first == len(self._starts) or self._starts[first] >= start + pages:
            return [self._values[first - 1]]
        return self._values[first - 1 : bisect_left(self._starts, start + pages, first)]

    def lowest(self, value: T, pages: int) -> list[Extent]:
        """The first `pages` pages of one value, in order; fewer where there are no more."""
        starts, found, index = self._starts, list[Extent](), -1
        while pages > 0:
            try:
                index = self._values.index(value, index + 1)
            except ValueError:
                break
            end = starts[index + 1] if index + 1 < len(starts) else self.total
            found.append(Extent(starts[index], min(pages, end - starts[index])))
            pages -= end - starts[index]
        return found

    def put(self, extent: Extent, value: T) -> None:
        """Give all pages of an extent one value; IndexError if it reaches outside."""
        starts, values, runs = self._starts, self._values, len(self._starts)
        start, end = extent.start, extent.start + extent.pages
        if start >= end:
            return
        if start < 0 or end > self.total:
            raise IndexError(f"{extent} reaches outside the {self.total} pages")
        first = bisect_right(starts, start) - 1  # the runs from here
        after = bisect_left(starts, end, first + 1)  # to the one before this are touched
        if after == first + 1 and values[first] == value:
            return
        new_starts: list[int] = []
        new_values: list[T] = []
        if starts[first] < start:  # the first one's beginning stays
            first += 1
        if not first or values[first - 1] != value:  # else the run before goes on
            new_starts.append(start)
            new_values.append(value)
        if end < (starts[after] if after < runs else self.total):  # the last one's end stays
            if values[after - 1] != value:
                new_starts.append(end)
                new_values.append(values[after - 1])
        elif after < runs and values[after] == value:  # the run after is no longer one of its own
            after += 1
        starts[first:after] = new_starts
        values[first:after] = new_values

    def change(self, extent: Extent, new: Callable[[T], T]) -> None:
        """Replace every value in an extent by what `new` makes of it."""
        for piece, value in list(self.pieces(extent)):
            self.put(piece, new(value))
