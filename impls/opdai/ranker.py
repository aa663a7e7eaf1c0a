"""The second stage: LightGBM over pre-ranking scores, ten folds, and the bag of fold models (authors' `train_main.py`).

Every row is predicted once by a model that never saw its user. Rounds are fixed: the authors stop early on the
fold they report, which would leak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import Trees

if TYPE_CHECKING:
    import lightgbm as lgb

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Rows:
    """The ranker's rows: every user's candidates.

    features   float32 [users, candidates, features], finite
    positive   int64 [users], column of the judged item
    names      feature names
    """

    features: np.ndarray
    positive: np.ndarray
    names: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return self.features.shape[0], self.features.shape[1]

    @property
    def labels(self) -> np.ndarray:
        """float32 [users, candidates], one 1 a row."""
        labels = np.zeros(self.shape, dtype=np.float32)
        labels[np.arange(len(labels)), self.positive] = 1.0
        return labels

    def of(self, users: np.ndarray) -> Rows:
        """The rows of some users (int indices or a mask)."""
        return Rows(self.features[users], self.positive[users], self.names)


def user_folds(users: int, folds: int, seed: int) -> np.ndarray:
    """Fold of every user, int [users]: a seeded permutation dealt out evenly."""
    fold = np.empty(users, dtype=np.int64)
    fold[np.random.default_rng(seed).permutation(users)] = np.arange(users) % folds
    return fold


def row_folds(users: int, candidates: int, folds: int, seed: int) -> np.ndarray:
    """Fold of every row, int [users, candidates], as the authors' KFold over rows."""
    return user_folds(users * candidates, folds, seed).reshape(users, candidates)


class Trainer:
    """Bins the rows once; every fold trains on a subset of the same binned data."""

    def __init__(self, rows: Rows, trees: Trees, seed: int) -> None:
        import lightgbm as lgb

        self.rows, self.trees, self.seed = rows, trees, seed
        users, candidates = rows.shape
        self.data = lgb.Dataset(
            rows.features.reshape(users * candidates, -1),
            label=rows.labels.ravel(),
            group=np.full(users, candidates) if trees.objective == "lambdarank" else None,
            feature_name=list(rows.names),
            params=self.parameters(),
            free_raw_data=False,
        )
        self.data.construct()

    def parameters(self) -> dict[str, Any]:
        t = self.trees
        return {
            "objective": t.objective,
            "num_leaves": t.leaves,
            "learning_rate": t.learning_rate,
            "min_sum_hessian_in_leaf": t.min_child_weight,
            "lambda_l1": t.lambda_l1,
            "lambda_l2": t.lambda_l2,
            "feature_fraction": t.feature_fraction,
            "bagging_fraction": t.bagging_fraction,
            "bagging_freq": t.bagging_freq,
            "seed": self.seed,
            "num_threads": 1,
            "deterministic": True,
            "force_row_wise": True,
            "verbosity": -1,
        }

    def train(self, mask: np.ndarray) -> lgb.Booster:
        """A model on the rows where mask (bool [users, candidates]) is True."""
        import lightgbm as lgb

        subset = self.data.subset(np.flatnonzero(mask.ravel()).tolist())
        return lgb.train(self.parameters(), subset, num_boost_round=self.trees.rounds)


def fold_models(
    rows: Rows, trees: Trees, folds: np.ndarray, seed: int, progress: Progress | None = None
) -> Iterator[tuple[np.ndarray, lgb.Booster]]:
    """For every fold the mask of its held-out rows (bool [users, candidates]) and the model that never saw them.

    folds: int [users] or [users, candidates].
    """
    trainer = Trainer(rows, trees, seed)
    of_row = np.broadcast_to(folds[:, None], rows.shape) if folds.ndim == 1 else folds
    count = int(of_row.max()) + 1
    for fold in range(count):
        held_out = of_row == fold
        yield held_out, trainer.train(~held_out)
        if progress:
            progress(fold + 1, count)


def out_of_fold(
    rows: Rows,
    trees: Trees,
    folds: np.ndarray,
    seed: int,
    judged: Rows | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, list[lgb.Booster]]:
    """Out-of-fold scores, float64 [users, candidates], and the bag of fold models.

    judged: other features of the same rows to be scored instead (the leak at deployment trains on leaky
    rows and is judged on honest ones).
    """
    scored = (judged or rows).features
    scores = np.full(rows.shape, np.nan)
    bag = []
    for held_out, model in fold_models(rows, trees, folds, seed, progress):
        scores[held_out] = predict(model, scored[held_out])
        bag.append(model)
    return scores, bag


def predict(model: lgb.Booster, features: np.ndarray) -> np.ndarray:
    """Raw scores float64 [rows]; the order is that of the probabilities, without the sigmoid's ties."""
    return np.asarray(model.predict(features, raw_score=True, num_threads=1), dtype=np.float64)
