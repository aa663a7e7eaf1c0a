"""The index of items by semantic id, and ads that come and go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.engine.index import Index

CODES = (4, 3, 5)
SIDS = st.lists(st.tuples(*(st.integers(0, size - 1) for size in CODES)), min_size=1, max_size=40).map(
    lambda ids: np.asarray(ids, dtype=np.int64)
)
"""Few ids, so that several items have the same one."""


def same(one: Index, other: Index) -> bool:
    arrays = [(*index.trie.prefixes, index.trie.ids, index.packed, index.item) for index in (one, other)]
    return all(map(np.array_equal, *arrays))


@given(sids=SIDS, data=st.data())
def test_putting_items_in_and_taking_them_out_gives_what_a_rebuild_gives(sids, data):
    every = np.asarray(data.draw(st.permutations(range(len(sids)))), dtype=np.int64)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(sids))] * 2)))
    before, added = every[:begin], every[begin:end]
    index = Index.of(sids, CODES, before)
    more = index.with_items(sids[added], added)
    assert same(more, Index.of(sids, CODES, every[:end]))
    assert same(more.without(added), index)
    assert same(more.without(before), Index.of(sids, CODES, added))


@given(sids=SIDS)
def test_an_update_leaves_the_index_that_it_began_with_as_it_was(sids):
    half = len(sids) // 2
    index = Index.of(sids, CODES, np.arange(half))
    index.with_items(sids[half:], np.arange(half, len(sids)))
    index.without(np.arange(half))
    assert same(index, Index.of(sids, CODES, np.arange(half)))


def test_a_thousand_new_items_among_many_are_found_by_their_ids():
    g = np.random.default_rng(0)
    codes, many = (1024, 256, 64), 30_000
    sids = np.stack([g.integers(0, size, many) for size in codes], axis=1)
    sids[-500:] = sids[:500]  # half of the new ones share their id with an old one
    index = Index.of(sids, codes, np.arange(many - 1000))
    more = index.with_items(sids[-1000:], np.arange(many - 1000, many))
    assert same(more, Index.of(sids, codes))
    assert len(more) == len(index) + 1000


def test_a_new_item_follows_the_older_ones_of_its_id():
    sids = np.array([(0, 0, 1), (0, 0, 1), (2, 1, 4), (0, 0, 1)])
    index = Index.of(sids, CODES, np.array([0, 2, 3])).with_items(sids[[1]], np.array([1]))
    found, score = index.items(np.array([[1, 39]]), np.array([[-1.0, -2.0]]), 5)
    assert found.tolist() == [[0, 1, 3, 2, -1]]
    assert score.tolist() == [[-1.0, -1.0, -1.0, -2.0, -np.inf]]


def test_what_is_there_cannot_be_put_in_and_what_is_not_cannot_be_taken_out():
    sids = np.array([(0, 0, 1), (2, 1, 4)])
    index = Index.of(sids, CODES, np.array([0]))
    for items in ([0], [1, 1]):
        with pytest.raises(ValueError, match="there already"):
            index.with_items(sids[items], np.array(items))
    for items in ([1], [0, 0]):
        with pytest.raises(ValueError, match="not there"):
            index.without(np.array(items))


def test_a_code_outside_its_level_is_refused():
    index = Index.of(np.array([(0, 0, 1)]), CODES)
    with pytest.raises(UserError, match="code 3 at level 2, which has 3 codes"):
        index.with_items(np.array([(0, 3, 1)]), np.array([1]))
