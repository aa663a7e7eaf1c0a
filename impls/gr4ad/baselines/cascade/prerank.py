"""Second stage: LightGBM on a few hundred candidates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .config import Trees
from .features import NAMES

if TYPE_CHECKING:
    import lightgbm as lgb


@dataclass(frozen=True, eq=False)
class TreesModel:
    """Fitted trees."""

    booster: lgb.Booster
    config: Trees

    def log_odds(self, features: np.ndarray) -> np.ndarray:
        """float32 [R, C] of features float32 [R, C, F], right up to one number for all: training lists are samples."""
        flat = features.reshape(-1, features.shape[2])
        found = np.asarray(self.booster.predict(flat, raw_score=True, num_threads=1))
        return found.reshape(features.shape[:2]).astype(np.float32)

    def macs(self) -> int:
        """Of one candidate: a comparison counts as a multiplication, and every tree is as deep as it may be."""
        return int(self.booster.num_trees()) * self.config.depth


def fit(features: np.ndarray, label: np.ndarray, weight: np.ndarray, config: Trees, seed: int) -> TreesModel:
    """From lists float32 [Q, n, F] with bool [Q, n], whether the candidate followed, and the lists' weights [Q]."""
    import lightgbm as lgb

    parameters = {
        "objective": "binary",
        "num_leaves": 2**config.depth,
        "max_depth": config.depth,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.least,
        "lambda_l2": config.lambda_l2,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
    }
    data = lgb.Dataset(
        features.reshape(-1, features.shape[2]),
        label=label.ravel().astype(np.float32),
        weight=np.repeat(weight, label.shape[1]),
        feature_name=[name.replace(" ", "_") for name in NAMES],
        params=parameters,
    )
    return TreesModel(lgb.train(parameters, data, num_boost_round=config.rounds), config)
