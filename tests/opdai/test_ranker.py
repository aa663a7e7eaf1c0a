"""The second stage: folds, out-of-fold scores, and the bag as tables."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.opdai import ranker
from remeasure.impls.opdai.bag import Bag
from remeasure.impls.opdai.config import Trees
from remeasure.impls.opdai.ranker import Rows, fold_models, out_of_fold, predict, row_folds, user_folds

TREES = Trees(rounds=12)


@pytest.fixture(scope="module")
def rows() -> Rows:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 20, 6)).astype(np.float32)
    features[:, :, 3] = np.round(features[:, :, 3])  # ties within a feature
    features[:, :, 4] = 0
    strength = 2 * features[:, :, 0] + features[:, :, 3] + rng.gumbel(size=(60, 20))
    return Rows(features, strength.argmax(1), tuple("abcdef"))


@given(st.integers(10, 400), st.integers(2, 10), st.integers(0, 2**32 - 1))
def test_every_user_is_in_one_fold_and_folds_are_even(users: int, folds: int, seed: int) -> None:
    fold = user_folds(users, folds, seed)
    sizes = np.bincount(fold, minlength=folds)
    assert sizes.sum() == users and sizes.max() - sizes.min() <= 1


def test_row_folds_split_the_rows_of_a_user() -> None:
    assert len(np.unique(row_folds(30, 20, 5, 1)[0])) > 1


def test_every_row_is_predicted_once_by_a_model_that_never_saw_its_user(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []
    train = ranker.Trainer.train

    def spy(self: ranker.Trainer, mask: np.ndarray) -> lgb.Booster:
        seen.append(mask)
        return train(self, mask)

    monkeypatch.setattr(ranker.Trainer, "train", spy)
    folds = user_folds(60, 5, 3)
    held_out = [held for held, _ in fold_models(rows, TREES, folds, 3)]
    assert (np.sum(held_out, axis=0) == 1).all()
    for held, trained in zip(held_out, seen, strict=True):
        assert not (held.any(axis=1) & trained.any(axis=1)).any()


def test_the_same_seed_gives_the_same_bytes(rows: Rows) -> None:
    folds = user_folds(60, 3, 1)
    first, second = (out_of_fold(rows, TREES, folds, 1)[0] for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.tobytes() != out_of_fold(rows, TREES, folds, 2)[0].tobytes()


def test_out_of_fold_scores_find_the_signal_and_shuffled_labels_do_not(rows: Rows) -> None:
    folds = user_folds(60, 5, 1)

    def mean_rank(judged: Rows) -> float:
        scores, _ = out_of_fold(judged, TREES, folds, 1)
        own = scores[np.arange(60), judged.positive]
        return float((scores > own[:, None]).sum(axis=1).mean())

    shuffled = Rows(rows.features, np.random.default_rng(5).integers(20, size=60), rows.names)
    assert mean_rank(rows) < 4.5
    assert 7 < mean_rank(shuffled) < 12  # 9.5 by chance


@pytest.mark.parametrize("objective", ["binary", "lambdarank"])
def test_the_bag_of_tables_equals_lightgbm(rows: Rows, objective: str) -> None:
    trees = Trees(rounds=40, objective=objective)  # type: ignore[arg-type]
    _, models = out_of_fold(rows, trees, user_folds(60, 4, 1), 1)
    flat = rows.features.reshape(-1, 6)
    expected = np.mean([predict(model, flat) for model in models], axis=0)
    assert np.abs(Bag.of(models).predict(flat) - expected).max() < 1e-12


def test_the_bag_decides_on_a_threshold_as_lightgbm_does(rows: Rows) -> None:
    """Values exactly on a threshold go left in both."""
    _, models = out_of_fold(rows, TREES, user_folds(60, 4, 1), 1)
    bag = Bag.of(models)
    column = int(np.argmax([len(cuts) for cuts in bag.thresholds]))
    probes = np.zeros((len(bag.thresholds[column]), 6))
    probes[:, column] = bag.thresholds[column]
    expected = np.mean([predict(model, probes) for model in models], axis=0)
    assert np.abs(bag.predict(probes) - expected).max() < 1e-12


def test_trees_too_large_for_a_table_are_refused(rows: Rows) -> None:
    _, models = out_of_fold(
        rows, Trees(rounds=3, leaves=31, min_child_weight=0.0, lambda_l2=0), user_folds(60, 2, 1), 1
    )
    with pytest.raises(ValueError, match="does not fit"):
        Bag.of(models)
