"""Balanced k-means keeps its cap, and encodes every vector as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.gr4ad.sid.balanced import Codebook, KMeans, capacity


def clustered(count: int, seed: int = 0, dims: int = 8) -> np.ndarray:
    """float32 [count, dims], in groups of unequal size."""
    rng = np.random.default_rng(seed)
    group = np.minimum(rng.zipf(1.5, count), 6)
    return (rng.normal(size=(7, dims))[group] + 0.3 * rng.normal(size=(count, dims))).astype(np.float32)


@given(seed=st.integers(0, 99), count=st.integers(200, 500), codes=st.sampled_from([1, 7, 16]))
@settings(max_examples=15, deadline=None)
def test_no_code_holds_more_than_the_cap_and_none_is_empty(seed: int, count: int, codes: int) -> None:
    vectors = clustered(count, seed)
    held = np.bincount(KMeans(codes).fit(vectors, np.random.default_rng(0)).encode(vectors), minlength=codes)
    assert held.max() <= capacity(count, codes, 1.25)
    assert held.min() > 0


def test_plain_kmeans_keeps_large_codes_where_balance_forbids_them() -> None:
    vectors = clustered(500)
    plain = KMeans(16, slack=None).fit(vectors, np.random.default_rng(0))
    assert not plain.prices.any()
    assert np.bincount(plain.encode(vectors)).max() > capacity(500, 16, 1.25)


def test_a_code_is_the_least_of_half_squared_distance_and_price() -> None:
    book = KMeans(12).fit(vectors := clustered(300), np.random.default_rng(0))
    far = ((vectors[:, None].astype(np.float64) - book.centres) ** 2).sum(2) / 2 + book.prices
    chosen = far[np.arange(300), book.encode(vectors)]
    np.testing.assert_allclose(chosen, far.min(1), atol=1e-5)


@given(seed=st.integers(0, 99), size=st.integers(1, 130))
@settings(max_examples=15, deadline=None)
def test_a_vector_has_the_same_code_alone_and_beside_others(seed: int, size: int) -> None:
    rng = np.random.default_rng(seed)
    book = Codebook(clustered(40, seed, 33), rng.random(40, dtype=np.float32))
    vectors = clustered(200, seed + 1, 33)
    some = rng.permutation(200)[:size]
    assert np.array_equal(book.encode(vectors[some]), book.encode(vectors)[some])


def test_equal_vectors_as_many_as_codes_get_a_code_each() -> None:
    vectors = clustered(64)
    codes = KMeans(64).fit(vectors, np.random.default_rng(0)).encode(vectors)
    assert len(set(codes.tolist())) == 64


def test_the_same_seed_gives_the_same_bytes() -> None:
    first, second = (KMeans(16).fit(clustered(300), np.random.default_rng(3)) for _ in range(2))
    assert first.centres.tobytes() == second.centres.tobytes()
    assert first.prices.tobytes() == second.prices.tobytes()


def test_balance_costs_little_beyond_an_exact_assignment() -> None:
    from scipy.optimize import linear_sum_assignment

    vectors = clustered(120)
    book = KMeans(6, iterations=10).fit(vectors, np.random.default_rng(0))
    costs = ((vectors[:, None] - book.centres) ** 2).sum(2)
    places = np.repeat(costs, capacity(120, 6, 1.25), axis=1)
    best = places[linear_sum_assignment(places)].sum()
    assert costs[np.arange(120), book.encode(vectors)].sum() <= 1.02 * best


def test_a_codebook_larger_than_the_vectors_is_refused() -> None:
    with pytest.raises(UserError) as refused:
        KMeans(1024).fit(clustered(300), np.random.default_rng(0))
    assert str(refused.value) == (
        "codebook 1024 is larger than the 300 distinct vectors; choose at most 300."
    )
