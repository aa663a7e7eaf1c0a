"""The pruned top-k against torch's."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.gr4ad.engine.topk import topk


@given(
    rows=st.integers(1, 3),
    size=st.integers(1, 900),
    share=st.floats(0, 1),
    seed=st.integers(0, 999),
    coarse=st.booleans(),
)
def test_the_values_are_those_of_torch_and_stand_at_the_places(rows, size, share, seed, coarse):
    scores = torch.randn(rows, size, generator=torch.Generator().manual_seed(seed))
    if coarse:  # many ties, and numbers that are not allowed
        scores = scores.round().masked_fill(scores > 1.5, -torch.inf)
    k = max(1, int(share * size))
    values, places = topk(scores, k)
    assert torch.equal(values, scores.topk(k).values)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row.tolist())) == k for row in places)


def test_a_long_row_is_really_pruned():
    scores = torch.randn(2, 100_003, generator=torch.Generator().manual_seed(0))
    values, places = topk(scores, 37)
    assert torch.equal(values, scores.topk(37).values)
    assert torch.equal(places, scores.topk(37).indices)
