"""What every pre-ranker must do: shapes, unknowns, determinism, permutations, unrelated markets."""

import dataclasses
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from opdai.corpora import dense_corpus, every_pair, random_ratings

from remeasure.impls.opdai.prerank.als import ALS
from remeasure.impls.opdai.prerank.base import PreRanker
from remeasure.impls.opdai.prerank.bigraph import BiGraph
from remeasure.impls.opdai.prerank.ease import Ease
from remeasure.impls.opdai.prerank.gfcf import GFCF
from remeasure.impls.opdai.prerank.gmf import GMF
from remeasure.impls.opdai.prerank.itemcf import ItemCF
from remeasure.impls.opdai.prerank.lightgcn import LightGCN
from remeasure.impls.opdai.prerank.llr import LogLikelihoodRatio
from remeasure.impls.opdai.prerank.node2vec import Node2Vec
from remeasure.impls.opdai.prerank.popularity import Popularity
from remeasure.impls.opdai.prerank.rp3 import RP3Beta
from remeasure.impls.opdai.prerank.swing import Swing
from remeasure.impls.opdai.prerank.usercf import UserCF
from remeasure.impls.opdai.prerank.word2vec import Word2Vec

LOCAL: list[PreRanker] = [
    ItemCF("iuf"),
    ItemCF("cosine"),
    ItemCF("rating"),
    ItemCF("jaccard", "mean"),
    UserCF(),
    UserCF(rated=True),
    Swing(),
    BiGraph(),
    RP3Beta(),
]
"""A user's scores depend only on users who share an item with her, directly or through another item."""

COUNTING: list[PreRanker] = [*LOCAL, LogLikelihoodRatio(), Ease(), Popularity(), Popularity("all")]
"""Closed forms of counts: no random numbers."""

SEEDED: list[PreRanker] = [
    GFCF(rank=6),
    GFCF(rank=64),
    ALS(dimensions=4, iterations=3),
    Word2Vec(dimensions=8, epochs=2),
    Node2Vec(dimensions=8, walks=2, epochs=1),
    LightGCN(dimensions=80, epochs=3, batch=32, layers=2),
    LightGCN(dimensions=8, epochs=3, batch=32, edge_keep=0.7),
    GMF(epochs=2, batch=64),
]

MODELS = [*COUNTING, *SEEDED]


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_unknown_user_unknown_item_and_empty_history_score_zero(model: PreRanker) -> None:
    corpus = dense_corpus(random_ratings())
    users = np.array([0, -1, 29, 3], np.int32)  # 29 has no history
    candidates = np.array([[1, -1, 5], [1, 2, 3], [1, 2, 3], [-1, 7, -1]], np.int32)
    scores = model.fit(corpus).score(users, candidates)
    assert scores.shape == (4, 3) and scores.dtype == np.float32
    assert np.isfinite(scores).all()
    assert not scores[candidates < 0].any()
    assert not scores[1].any()
    if not isinstance(model, Popularity):
        assert not scores[2].any()


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_no_user_and_no_candidate_give_empty_scores(model: PreRanker) -> None:
    scorer = model.fit(dense_corpus(random_ratings()))
    assert scorer.score(np.zeros(0, np.int32), np.zeros((0, 5), np.int32)).shape == (0, 5)
    assert scorer.score(np.zeros(3, np.int32), np.zeros((3, 0), np.int32)).shape == (3, 0)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_same_seed_gives_the_same_bytes(model: PreRanker) -> None:
    corpus = dense_corpus(random_ratings())
    first, second = (model.fit(corpus, seed=3).score(*every_pair(corpus)) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.any()


@pytest.mark.parametrize("model", SEEDED[2:], ids=str)
def test_another_seed_gives_other_scores(model: PreRanker) -> None:
    corpus = dense_corpus(random_ratings())
    first, second = (model.fit(corpus, seed=seed).score(*every_pair(corpus)) for seed in (1, 2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_config_is_hashable_and_json(model: PreRanker) -> None:
    config: Any = model
    again = type(model)(**json.loads(json.dumps(dataclasses.asdict(config))))
    assert again == model and hash(again) == hash(model)


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_permuted_candidates_permute_the_scores(model: PreRanker) -> None:
    corpus = dense_corpus(random_ratings())
    users, candidates = every_pair(corpus)
    scorer = model.fit(corpus)
    order = np.random.default_rng(0).permutation(candidates.shape[1])
    np.testing.assert_allclose(
        scorer.score(users, candidates[:, order]), scorer.score(users, candidates)[:, order], rtol=1e-6
    )


@pytest.mark.parametrize("model", COUNTING, ids=str)
def test_permuted_users_and_items_change_nothing(model: PreRanker) -> None:
    ratings = random_ratings()
    rng = np.random.default_rng(1)
    rows, columns = rng.permutation(ratings.shape[0]), rng.permutation(ratings.shape[1])
    corpus, permuted = dense_corpus(ratings), dense_corpus(ratings[rows][:, columns])
    expected = model.fit(corpus).score(*every_pair(corpus))[rows][:, columns]
    np.testing.assert_allclose(
        model.fit(permuted).score(*every_pair(permuted)), expected, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("model", LOCAL, ids=str)
def test_market_that_shares_no_item_changes_nothing(model: PreRanker) -> None:
    own, other = random_ratings(seed=1), random_ratings(users=12, items=9, seed=2)
    merged = np.zeros((42, 29), np.float32)
    merged[12:, 9:] = own
    merged[:12, :9] = other
    alone = dense_corpus(own)
    both = dense_corpus(merged, target=np.arange(42) >= 12)
    users, candidates = every_pair(alone)
    np.testing.assert_array_equal(
        model.fit(both).score(users + 12, candidates + 9), model.fit(alone).score(users, candidates)
    )


def test_log_likelihood_ratio_sees_the_number_of_users() -> None:
    ratings = random_ratings()
    users, candidates = every_pair(dense_corpus(ratings))
    few, many = dense_corpus(ratings), dense_corpus(np.vstack([ratings, np.zeros_like(ratings)]))
    model = LogLikelihoodRatio()
    assert not np.array_equal(
        model.fit(few).score(users, candidates), model.fit(many).score(users, candidates)
    )


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_fitting_leaves_the_corpus_alone(model: PreRanker) -> None:
    corpus = dense_corpus(random_ratings())
    before = corpus.ratings.toarray(), corpus.binary.toarray()
    model.fit(corpus).score(*every_pair(corpus))
    np.testing.assert_array_equal(corpus.ratings.toarray(), before[0])
    np.testing.assert_array_equal(corpus.binary.toarray(), before[1])


def test_importing_the_pre_rankers_loads_neither_torch_nor_gensim() -> None:
    names = ["als", "gmf", "lightgcn", "node2vec", "word2vec"]
    imports = "; ".join(f"import remeasure.impls.opdai.prerank.{name}" for name in names)
    code = f"import sys; {imports}; sys.exit('torch' in sys.modules or 'gensim' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )
