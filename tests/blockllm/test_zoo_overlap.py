"""Two things done after each other by two sets of threads: the order, what stays where it is, and what fails."""

from __future__ import annotations

import threading
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.zoo.overlap import SMALL, bundles, pipelined

sizes = st.dictionaries(st.integers(), st.integers(0, 4 * SMALL), max_size=40)


@given(sizes=sizes)
def test_everything_is_in_one_bundle_and_all_that_is_small_in_the_same(sizes: dict[int, int]) -> None:
    found = bundles(sizes)
    assert sorted(chain(*found)) == sorted(sizes)
    small = [items for items in found if sizes[items[0]] < SMALL]
    assert len(small) <= 1 and all(found) and all(len(items) == 1 for items in found if items not in small)
    alone = [sizes[items[0]] for items in found if items not in small]
    assert alone == sorted(alone, reverse=True)
    assert not alone or found[0] == [max(sizes, key=lambda item: sizes[item])]


@given(sizes=sizes, threads=st.tuples(st.integers(1, 3), st.integers(1, 3)))
def test_each_item_passes_through_both_but_for_what_the_first_makes_nothing_of(
    sizes: dict[int, int], threads: tuple[int, int]
) -> None:
    found = pipelined(sizes, lambda n: str(n) if n % 3 else None, lambda n, text: (n, text), threads)
    assert found == {n: (n, str(n)) for n in sizes if n % 3}


def test_what_is_small_stays_in_its_thread_and_what_is_large_is_handed_over() -> None:
    began: dict[int, int] = {}

    def first(item: int) -> int:
        began[item] = threading.get_ident()
        return item

    ended = pipelined({0: SMALL, 1: 1, 2: 1}, first, lambda item, _: threading.get_ident(), (1, 1))
    assert ended[1] == ended[2] == began[1] == began[2] == began[0] != ended[0]


def test_the_second_is_done_while_the_first_goes_on() -> None:
    """Each large item's second half waits for the next one's first half: without overlap this would never end."""
    begun = [threading.Event() for _ in range(4)]

    def first(item: int) -> int:
        begun[item].set()
        return item

    def then(item: int, _: int) -> bool:
        return begun[min(item + 1, 3)].wait(timeout=30)

    found = pipelined({n: SMALL * (9 - n) for n in range(4)}, first, then, (1, 1))
    assert found == dict.fromkeys(range(4), True)


@pytest.mark.parametrize("size", [1, SMALL])
@pytest.mark.parametrize("where", ["first", "then"])
def test_an_error_of_either_is_raised_and_what_has_not_begun_is_left(where: str, size: int) -> None:
    begun: list[int] = []

    def work(at: str, item: int) -> int:
        if at == "first":
            begun.append(item)
        if at == where and item == 0:
            raise ValueError("no such thing")
        return item

    with pytest.raises(ValueError, match="no such thing"):
        pipelined(
            {n: size for n in range(1000)}, lambda n: work("first", n), lambda n, _: work("then", n), (1, 1)
        )
    if size == 1:
        assert begun == [0]  # all are one bundle, which ends there
