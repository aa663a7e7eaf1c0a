"""Runs of equal values are a list of values with neighbours merged, and end where the pages end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.policy.runs import Extent, Runs


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
