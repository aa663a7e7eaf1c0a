"""The metrics equal trec_eval's, ties included."""

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.common.ranking import ndcg_at, ranks, recall_at, reciprocal_rank


def oracle(scores: np.ndarray, positive: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """NDCG@10, Recall@10 and MRR by trec_eval, float64 [U, 3]; padded candidates are left out."""
    runs, labels = {}, {}
    for user in range(len(scores)):
        pairs = zip(ids[user].tolist(), scores[user].tolist(), strict=True)
        runs[str(user)] = {name: score for name, score in pairs if name}
        labels[str(user)] = {str(ids[user, positive[user]]): 1}
    found = pytrec_eval.RelevanceEvaluator(labels, {"ndcg_cut_10", "recall_10", "recip_rank"}).evaluate(runs)
    names = ("ndcg_cut_10", "recall_10", "recip_rank")
    return np.array([[found[str(user)][name] for name in names] for user in range(len(scores))])


def own(scores: np.ndarray, positive: np.ndarray, ids: np.ndarray) -> np.ndarray:
    place = ranks(scores, positive, ids)
    return np.stack([ndcg_at(place), recall_at(place), reciprocal_rank(place)], axis=1)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    users=st.integers(1, 8),
    width=st.integers(1, 40),
    levels=st.sampled_from([1, 2, 5, 0]),
    scale=st.sampled_from([1.0, 1e-9, 1e30]),
)
def test_equals_trec_eval_on_random_and_tied_scores(
    seed: int, users: int, width: int, levels: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(levels, size=(users, width)) if levels else rng.standard_normal((users, width))
    # Neighbours that only 64-bit floats tell apart: trec_eval reads 32-bit ones.
    scores = scores * scale + rng.integers(2, size=scores.shape) * 1e-12
    numbers = np.stack([rng.permutation(200)[:width] for _ in range(users)])
    ids = np.char.add("P", numbers.astype(str))
    positive = rng.integers(width, size=users)
    padded = rng.random(ids.shape) < 0.2
    padded[np.arange(users), positive] = False
    ids[padded], scores[padded] = "", -np.inf
    assert np.abs(own(scores, positive, ids) - oracle(scores, positive, ids)).max() <= 1e-12


def test_random_scores_give_the_chance_level_and_perfect_ones_give_one() -> None:
    rng = np.random.default_rng(0)
    users = 20_000
    ids = np.broadcast_to(np.char.add("P", np.arange(100).astype(str)), (users, 100))
    positive = rng.integers(100, size=users)
    chance = (1 / np.log2(np.arange(1, 11) + 1)).sum() / 100
    assert chance == pytest.approx(0.0454, abs=5e-5)
    assert ndcg_at(ranks(rng.random((users, 100)), positive, ids)).mean() == pytest.approx(chance, abs=0.005)
    perfect = (np.arange(100) == positive[:, None]).astype(float)
    assert (own(perfect, positive, ids) == 1).all()


def test_permuting_the_candidates_changes_no_rank() -> None:
    rng = np.random.default_rng(1)
    scores, order = rng.integers(4, size=(50, 20)).astype(float), rng.permutation(20)
    ids = np.tile(np.char.add("P", np.arange(20).astype(str)), (50, 1))
    positive = rng.integers(20, size=50)
    moved = np.argsort(order)[positive]
    assert (ranks(scores, positive, ids) == ranks(scores[:, order], moved, ids[:, order])).all()


def test_padding_is_never_ahead_whatever_its_score() -> None:
    ids = np.array([["b", "a", "", ""]])
    assert ranks(np.array([[0.0, 0.0, 9.0, 0.0]]), np.array([1]), ids).tolist() == [2]
    assert ranks(np.array([[1.0, -np.inf, -np.inf, 0.0]]), np.array([1]), ids).tolist() == [2]


def test_nan_scores_and_wrong_shapes_are_refused() -> None:
    ids, positive = np.array([["a", "b"], ["a", "b"]]), np.array([0, 1])
    with pytest.raises(ValueError, match="NaN, first in list 1"):
        ranks(np.array([[0.0, 1.0], [np.nan, 1.0]]), positive, ids)
    with pytest.raises(ValueError, match="shapes do not fit"):
        ranks(np.zeros((2, 3)), positive, ids)
