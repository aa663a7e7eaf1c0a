"""A trained bag scoring lists, as LightGBM and as tables."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from remeasure.datasets.xmrec.loader import XmrecData

from ..bag import Bag
from ..config import Inference, TwoStage
from ..features import Workbench, first_stage
from ..ranker import fold_models, predict, user_folds

TOLERANCE = 1e-12
"""The two ways of adding the same leaf values may differ by rounding only."""


def prepared(config: Inference, data: XmrecData) -> Callable[[], None]:
    """Train the bag, check that both forms agree on the scored lists; what it returns scores them once more."""
    boosters, bag, flat = _trained(config.system, config.trained_on, config.users, data)

    def lightgbm() -> np.ndarray:
        return np.asarray(np.mean([predict(model, flat) for model in boosters], axis=0))

    difference = float(np.abs(lightgbm() - bag.predict(flat)).max())
    if difference > TOLERANCE:
        raise ValueError(f"the tables differ from LightGBM by {difference:.1e}, more than {TOLERANCE:.0e}")

    def run() -> None:
        if config.form == "lightgbm":
            lightgbm()
        else:
            bag.predict(flat)

    return run


@lru_cache(maxsize=1)
def _trained(
    system: TwoStage, trained_on: int, users: int, data: XmrecData
) -> tuple[list[Any], Bag, np.ndarray]:
    """The block's bag as LightGBM's models and as tables, and rows to be scored; all arms walk the same trees."""
    stage = first_stage(Workbench(data, system.tables), system)
    listed = np.arange(len(stage.rows.features))
    rows = stage.rows.of(listed[:trained_on])
    folds = user_folds(len(rows.features), system.folds, 0)
    boosters = [model for _, model in fold_models(rows, system.trees, folds, 0)]
    scored = stage.rows.of(listed[:users]).features
    return boosters, Bag.of(boosters), scored.reshape(-1, scored.shape[-1])
