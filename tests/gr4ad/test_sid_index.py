"""The index after any additions and removals is the index built anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.sid.index import SIDIndex

CHANGES = st.lists(st.tuples(st.booleans(), st.integers(0, 15), st.integers(0, 2), st.integers(0, 2)))


@given(CHANGES)
def test_adding_and_removing_equals_a_rebuild(changes: list[tuple[bool, int, int, int]]) -> None:
    index, kept = SIDIndex(), dict[str, list[int]]()
    trie = set[tuple[int, ...]]()
    for add, number, *sid in changes:
        item = str(number)
        if add and item not in kept:
            trie |= set(index.add([item], np.array([sid])))
            kept[item] = sid
        elif not add and item in kept:
            trie -= set(index.remove([item]))
            del kept[item]
    rebuilt = SIDIndex.of(list(kept), np.array(list(kept.values())).reshape(-1, 2))
    assert index == rebuilt and len(index) == len(kept)
    assert trie == {tuple(sid) for sid in kept.values()} == {tuple(sid) for sid in index.sids().tolist()}
    for item, sid in kept.items():
        assert index.sid(item) == tuple(sid) and item in index.items(sid)


def test_an_item_that_is_there_twice_or_not_at_all_is_refused_and_nothing_changes() -> None:
    index = SIDIndex.of(["a"], np.array([[1, 2]]))
    with pytest.raises(UserError, match="item a is in the index already"):
        index.add(["b", "a"], np.array([[0, 0], [1, 1]]))
    with pytest.raises(UserError, match="item c is not in the index"):
        index.remove(["a", "c"])
    assert index == SIDIndex.of(["a"], np.array([[1, 2]]))
    assert index.items((9, 9)) == () and index.sid("b") is None
