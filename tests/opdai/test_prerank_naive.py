"""Invariant 3: the sparse pre-rankers equal dictionary versions written straight from the definitions."""

from collections import defaultdict
from collections.abc import Callable
from itertools import permutations
from math import log, sqrt

import numpy as np
import pytest
from opdai.corpora import dense_corpus, every_pair, random_ratings

from remeasure.impls.opdai.prerank.base import PreRanker
from remeasure.impls.opdai.prerank.bigraph import BiGraph
from remeasure.impls.opdai.prerank.itemcf import ItemCF
from remeasure.impls.opdai.prerank.llr import LogLikelihoodRatio
from remeasure.impls.opdai.prerank.rp3 import RP3Beta
from remeasure.impls.opdai.prerank.swing import Swing
from remeasure.impls.opdai.prerank.usercf import UserCF

Histories = dict[int, dict[int, float]]
"""user -> item -> rating"""


def histories(ratings: np.ndarray) -> Histories:
    return {u: {int(i): float(row[i]) for i in np.flatnonzero(row)} for u, row in enumerate(ratings)}


def item_users(data: Histories) -> dict[int, set[int]]:
    users = defaultdict(set)
    for u, items in data.items():
        for i in items:
            users[i].add(u)
    return users


def from_similarity(
    data: Histories, shape: tuple[int, int], similarity: Callable[[int, int], float], mean: bool = False
) -> np.ndarray:
    scores = np.zeros(shape)
    for u, items in data.items():
        for c in range(shape[1]):
            total = sum(similarity(i, c) for i in items)
            scores[u, c] = total / len(items) if mean and items else total
    return scores


def naive_itemcf(ratings: np.ndarray, similarity: str) -> np.ndarray:
    data = histories(ratings)
    common: dict[tuple[int, int], float] = defaultdict(float)
    for items in data.values():
        for i, j in permutations(items, 2):
            weight = {"iuf": 1 / log(1 + len(items)), "rating": items[i] * items[j]}.get(similarity, 1.0)
            common[i, j] += weight
    users = item_users(data)
    norm = {i: sum(data[u][i] ** 2 for u in who) for i, who in users.items()}

    def pair(i: int, j: int) -> float:
        if (i, j) not in common:
            return 0.0
        if similarity == "jaccard":
            return common[i, j] / len(users[i] | users[j])
        if similarity == "rating":
            return common[i, j] / sqrt(norm[i] * norm[j])
        return common[i, j] / sqrt(len(users[i]) * len(users[j]))

    return from_similarity(data, ratings.shape, pair, mean=similarity == "jaccard")


def naive_usercf(ratings: np.ndarray, rated: bool) -> np.ndarray:
    data = histories(ratings)
    users = item_users(data)
    scores = np.zeros(ratings.shape)
    for u, mine in data.items():
        for theirs in data.values():
            both = mine.keys() & theirs.keys()
            if both:
                tie = sum(1 / log(1 + len(users[i])) for i in both) / sqrt(len(mine) * len(theirs))
                for c, rating in theirs.items():
                    scores[u, c] += tie * (rating if rated else 1)
    return scores


def naive_swing(ratings: np.ndarray, alpha: float) -> np.ndarray:
    data = histories(ratings)
    similarity: dict[tuple[int, int], float] = defaultdict(float)
    for u, v in permutations(data, 2):
        both = data[u].keys() & data[v].keys()
        for i, j in permutations(both, 2):
            similarity[i, j] += 1 / (alpha + len(both))
    return from_similarity(data, ratings.shape, lambda i, j: similarity.get((i, j), 0.0))


def naive_bigraph(ratings: np.ndarray) -> np.ndarray:
    data = histories(ratings)
    users = item_users(data)
    similarity: dict[tuple[int, int], float] = defaultdict(float)
    for i, who in users.items():
        for u in who:
            for j in data[u]:
                similarity[i, j] += 1 / (log(len(who) + 1) * log(len(data[u]) + 1))
    return from_similarity(data, ratings.shape, lambda i, j: similarity.get((i, j), 0.0))


def naive_llr(ratings: np.ndarray) -> np.ndarray:
    data = histories(ratings)
    users = item_users(data)

    def entropy(*counts: int) -> float:
        total = sum(counts)
        return -sum(k * log(k / total) for k in counts if k)

    def pair(i: int, j: int) -> float:
        both = len(users[i] & users[j])
        if i == j or not both:
            return 0.0
        only_i, only_j = len(users[i]) - both, len(users[j]) - both
        neither = len(data) - both - only_i - only_j
        rows = entropy(both + only_i, only_j + neither)
        columns = entropy(both + only_j, only_i + neither)
        return 2 * (rows + columns - entropy(both, only_i, only_j, neither))

    return from_similarity(data, ratings.shape, pair)


def naive_rp3(ratings: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    data = histories(ratings)
    users = item_users(data)

    def pair(i: int, j: int) -> float:
        if i == j:
            return 0.0
        paths = ((len(users[i]) * len(data[u])) ** -alpha for u in users[i] & users[j])
        damp: float = max(len(users[j]), 1) ** beta
        return sum(paths, 0.0) / damp

    return from_similarity(data, ratings.shape, pair)


CASES: list[tuple[PreRanker, Callable[[np.ndarray], np.ndarray]]] = [
    (ItemCF("iuf"), lambda r: naive_itemcf(r, "iuf")),
    (ItemCF("cosine"), lambda r: naive_itemcf(r, "cosine")),
    (ItemCF("rating"), lambda r: naive_itemcf(r, "rating")),
    (ItemCF("jaccard", "mean"), lambda r: naive_itemcf(r, "jaccard")),
    (UserCF(), lambda r: naive_usercf(r, False)),
    (UserCF(rated=True), lambda r: naive_usercf(r, True)),
    (Swing(), lambda r: naive_swing(r, 1.0)),
    (Swing(alpha=0.01), lambda r: naive_swing(r, 0.01)),
    (BiGraph(), naive_bigraph),
    (LogLikelihoodRatio(), naive_llr),
    (RP3Beta(), lambda r: naive_rp3(r, 0.8, 0.4)),
]


@pytest.mark.parametrize(("model", "naive"), CASES, ids=[str(model) for model, _ in CASES])
@pytest.mark.parametrize("share", [0.1, 0.3])
def test_sparse_equals_the_dictionary_version(
    model: PreRanker, naive: Callable[[np.ndarray], np.ndarray], share: float
) -> None:
    ratings = random_ratings(share=share)
    corpus = dense_corpus(ratings)
    expected = naive(ratings)
    assert expected.any()
    np.testing.assert_allclose(model.fit(corpus).score(*every_pair(corpus)), expected, rtol=1e-6, atol=1e-6)


def test_swing_counts_equal_histories_pair_by_pair() -> None:
    ratings = np.repeat(random_ratings(users=8, share=0.5), 4, axis=0)
    corpus = dense_corpus(ratings)
    np.testing.assert_allclose(
        Swing().fit(corpus).score(*every_pair(corpus)), naive_swing(ratings, 1.0), rtol=1e-6, atol=1e-6
    )


def test_swing_in_many_chunks_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ratings = random_ratings(share=0.4)
    corpus = dense_corpus(ratings)
    monkeypatch.setattr("remeasure.impls.opdai.prerank.swing._PRODUCTS_AT_ONCE", 50)
    np.testing.assert_allclose(
        Swing().fit(corpus).score(*every_pair(corpus)), naive_swing(ratings, 1.0), rtol=1e-6, atol=1e-6
    )
