"""The trie of what can be generated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.engine.trie import PrefixTrie

CODES = (4, 3, 5)
IDS = st.lists(st.tuples(*(st.integers(0, size - 1) for size in CODES)), min_size=1, max_size=40)


def array(ids) -> np.ndarray:
    return np.asarray(ids, dtype=np.int64).reshape(-1, 3)


def same(one: PrefixTrie, other: PrefixTrie) -> bool:
    return all(map(np.array_equal, (*one.prefixes, one.ids), (*other.prefixes, other.ids)))


@given(first=IDS, more=IDS)
def test_adding_and_taking_out_gives_what_a_rebuild_gives(first, more):
    one = PrefixTrie.of(array(first), CODES)
    both = one.with_ids(array(more))
    assert same(both, PrefixTrie.of(array(first + more), CODES))
    assert same(both.without(array(more)), one)


@given(ids=IDS)
def test_what_may_follow_a_prefix_is_what_the_ids_say(ids):
    trie = PrefixTrie.of(array(ids), CODES)
    seen = set(ids)
    first = trie.allowed(torch.zeros(1, 1, dtype=torch.long), 0)[0, 0]
    assert set(first.nonzero()[:, 0].tolist()) == {a for a, _, _ in seen}
    prefixes = torch.arange(CODES[0] * CODES[1]).view(2, -1)
    last = trie.allowed(prefixes, 2).view(-1, CODES[2])
    for prefix, row in enumerate(last):
        expected = {c for a, b, c in seen if (a, b) == divmod(prefix, CODES[1])}
        assert set(row.nonzero()[:, 0].tolist()) == expected


def test_an_item_that_was_never_put_in_cannot_be_taken_out():
    trie = PrefixTrie.of(array([(0, 0, 0)]), CODES)
    for ids in ([(0, 0, 1)], [(0, 0, 0), (0, 0, 0)]):
        with pytest.raises(ValueError, match="never put in"):
            trie.without(array(ids))


def test_a_code_outside_its_level_is_refused_by_item_and_level():
    with pytest.raises(UserError, match="item 1 has code 3 at level 2, which has 3 codes"):
        PrefixTrie.of(array([(0, 0, 0), (0, 3, 0)]), CODES)
    with pytest.raises(UserError, match="ids have 2 levels, the codebooks 3"):
        PrefixTrie.of(np.zeros((2, 2), dtype=np.int64), CODES)
