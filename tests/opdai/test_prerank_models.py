"""Single models against what they are defined by."""

import numpy as np
import pytest
from opdai.corpora import dense_corpus, every_pair, random_ratings
from scipy import sparse

from remeasure.impls.opdai.prerank.als import ALS
from remeasure.impls.opdai.prerank.ease import Ease
from remeasure.impls.opdai.prerank.gfcf import GFCF
from remeasure.impls.opdai.prerank.itemcf import ItemCF
from remeasure.impls.opdai.prerank.lightgcn import LightGCN
from remeasure.impls.opdai.prerank.negatives import NegativeSampler
from remeasure.impls.opdai.prerank.popularity import Popularity
from remeasure.impls.opdai.prerank.similarity import STATISTICS, CosineSimilarity
from remeasure.impls.opdai.prerank.walks import second_order_walks


def test_sequence_statistics_equal_a_loop_over_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = dense_corpus(random_ratings(share=0.3))
    users, candidates = every_pair(corpus)
    scorer = ItemCF("jaccard", "mean").fit(corpus)
    items = np.arange(20)
    similarity = scorer.block(items, items)
    monkeypatch.setattr("remeasure.impls.opdai.prerank.similarity._PAIRS_AT_ONCE", 100)
    statistics = scorer.sequence_statistics(users, candidates)
    assert statistics.shape == (30, 20, len(STATISTICS)) and statistics.dtype == np.float32
    for user in users:
        history = corpus.binary.indices[corpus.binary.indptr[user] : corpus.binary.indptr[user + 1]]
        for candidate in items:
            values = np.sort(similarity[history, candidate])[::-1]
            expected = [0.0] * 5
            if len(values):
                second = values[1] if len(values) > 1 else 0
                expected = [values[0], second, values.mean(), values.std(), float(np.count_nonzero(values))]
            np.testing.assert_allclose(statistics[user, candidate], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(scorer.score(users, candidates), statistics[:, :, 2], rtol=1e-6)


def test_similarity_scores_do_not_depend_on_who_is_asked_together() -> None:
    corpus = dense_corpus(random_ratings())
    scorer = ItemCF().fit(corpus)
    users, candidates = every_pair(corpus)
    together = scorer.score(users, candidates)
    for user in range(30):
        part = slice(user, user + 1)
        np.testing.assert_array_equal(scorer.score(users[part], candidates[part, 3:9]), together[part, 3:9])


def test_ease_solves_its_normal_equations() -> None:
    ratings = random_ratings()
    corpus = dense_corpus(ratings)
    binary = (ratings > 0).astype(float)
    weights = Ease(l2=3.0, catalogue="all").fit(corpus).block(np.arange(20), np.arange(20)).astype(float)
    slope = binary.T @ binary @ weights + 3.0 * weights - binary.T @ binary
    np.fill_diagonal(slope, 0)  # the constraint's multipliers
    assert not np.diag(weights).any()
    np.testing.assert_allclose(slope, 0, atol=1e-4)


def test_ease_is_fitted_on_the_items_of_the_target_market() -> None:
    ratings = random_ratings()
    target = np.arange(30) >= 15
    ratings[15:, :5] = 0
    corpus = dense_corpus(ratings, target)
    scores = Ease().fit(corpus).score(*every_pair(corpus))
    assert not scores[:, :5].any() and scores[:, 5:].any()


def test_gfcf_by_lanczos_equals_the_dense_decomposition() -> None:
    ratings = random_ratings(share=0.4)
    corpus = dense_corpus(ratings)
    binary = (ratings > 0).astype(float)
    count, sizes = np.maximum(binary.sum(0), 1), np.maximum(binary.sum(1), 1)
    normalised = binary / np.sqrt(np.outer(sizes, count))
    vectors = np.linalg.svd(normalised)[2][:6].T
    low_pass = vectors @ vectors.T * np.sqrt(count)[None, :] / np.sqrt(count)[:, None]
    expected = binary @ (normalised.T @ normalised + 0.3 * low_pass)
    scores = GFCF(rank=6).fit(corpus).score(*every_pair(corpus))
    np.testing.assert_allclose(scores, expected, atol=1e-3)


def test_als_vectors_solve_the_normal_equations_for_short_and_long_histories() -> None:
    ratings = random_ratings(share=0.4)
    corpus = dense_corpus(ratings)
    model = ALS(dimensions=5, iterations=4, l2=0.1, alpha=3.0)
    scorer = model.fit(corpus)
    items = scorer.item_factors.astype(float)
    for user, row in enumerate(ratings):
        mine = items[row > 0]
        system = items.T @ items + 3.0 * mine.T @ mine + 0.1 * np.eye(5)
        expected = np.linalg.solve(system, 4.0 * mine.sum(axis=0))
        np.testing.assert_allclose(scorer.user_factors[user], expected, rtol=1e-3, atol=1e-5)


def test_popularity_counts_target_users_or_all() -> None:
    ratings = random_ratings()
    target = np.arange(30) >= 15
    corpus = dense_corpus(ratings, target)
    users, candidates = every_pair(corpus)
    np.testing.assert_array_equal(
        Popularity().fit(corpus).score(users, candidates)[0], (ratings[target] > 0).sum(axis=0)
    )
    np.testing.assert_array_equal(
        Popularity("all").fit(corpus).score(users, candidates)[0], (ratings > 0).sum(axis=0)
    )


def test_cosine_keeps_only_the_nearest_neighbours() -> None:
    vectors = np.random.default_rng(0).standard_normal((12, 4)).astype(np.float32)
    history = sparse.csr_array(np.ones((1, 12), np.float32))
    items = np.arange(12)
    full = CosineSimilarity(history, vectors).block(items, items)
    cut = CosineSimilarity(history, vectors, neighbours=3).block(items, items)
    for i in items:
        nearest = [j for j in np.argsort(-full[i]) if j != i][:3]
        np.testing.assert_allclose(cut[i, nearest], full[i, nearest], rtol=1e-6)
        assert not np.delete(cut[i], nearest).any()


def test_negatives_lie_outside_the_history() -> None:
    ratings = random_ratings(share=0.5)
    users = np.repeat(np.arange(30), 200)
    items = NegativeSampler(sparse.csr_array(ratings)).draw(users, np.random.default_rng(0))
    assert not ratings[users, items].any()
    assert set(items[users == 0]) == set(np.flatnonzero(ratings[0] == 0))


def test_second_order_walks_follow_the_transition_law() -> None:
    """A square with one diagonal and a tail, edge weights 1 to 3: frequencies of (t, v) -> x."""
    graph = np.zeros((5, 5))
    for left, right, weight in [(0, 1, 1), (1, 2, 2), (2, 3, 1), (3, 0, 3), (0, 2, 2), (3, 4, 1)]:
        graph[left, right] = graph[right, left] = weight
    p, q = 4.0, 0.5
    walks = second_order_walks(
        sparse.csr_array(graph), np.zeros(60_000, np.int64), 3, p, q, np.random.default_rng(0)
    )
    assert graph[walks[:, :-1], walks[:, 1:]].all()
    for here in (1, 2, 3):
        arrived = walks[walks[:, 1] == here]
        factor = np.where(graph[0] > 0, 1.0, 1 / q)
        factor[0] = 1 / p
        law = graph[here] * factor
        seen = np.bincount(arrived[:, 2], minlength=5) / len(arrived)
        np.testing.assert_allclose(seen, law / law.sum(), atol=0.015)


def test_lightgcn_loss_falls_and_progress_is_told() -> None:
    told: list[tuple[int, float]] = []
    corpus = dense_corpus(random_ratings(users=60, items=40))
    model = LightGCN(dimensions=16, epochs=30, batch=64, learning_rate=0.01)
    model.fit(corpus, progress=lambda epoch, loss: told.append((epoch, loss)))
    assert [epoch for epoch, _ in told] == list(range(1, 31))
    assert told[-1][1] < 0.5 * told[0][1]


def test_lightgcn_gradient_equals_autograd() -> None:
    import torch

    from remeasure.impls.opdai.prerank.lightgcn import _Graph

    ratings = random_ratings()
    corpus = dense_corpus(ratings)
    model = LightGCN(dimensions=6, layers=3, l2=0.2)
    graph = _Graph(corpus.binary, model.layers)
    rng = np.random.default_rng(0)
    triples = np.stack([rng.integers(0, 30, 50), 30 + rng.integers(0, 20, 50), 30 + rng.integers(0, 20, 50)])
    start = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    loss = model._step(graph, [start], triples)

    binary = ratings > 0
    adjacency = np.zeros((50, 50))
    adjacency[:30, 30:], adjacency[30:, :30] = binary, binary.T
    scale = 1 / np.sqrt(np.maximum(adjacency.sum(axis=1), 1))
    step = torch.from_numpy(adjacency * np.outer(scale, scale))
    leaf = start.double().requires_grad_()
    layers = [leaf]
    for _ in range(3):
        layers.append(step @ layers[-1])
    final = torch.stack(layers).mean(dim=0)
    user, item, negative = (torch.from_numpy(row) for row in triples)
    bpr = -torch.nn.functional.logsigmoid((final[user] * (final[item] - final[negative])).sum(dim=1)).mean()
    rows = leaf[torch.from_numpy(triples.ravel())]
    torch.autograd.backward(bpr + 0.2 / 50 * 0.5 * (rows**2).sum())
    assert loss == pytest.approx(bpr.item(), rel=1e-5)
    assert start.grad is not None and leaf.grad is not None
    np.testing.assert_allclose(start.grad.numpy(), leaf.grad.numpy(), rtol=1e-4, atol=1e-6)
