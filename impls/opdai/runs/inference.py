"""A trained bag scoring lists, as LightGBM and as tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remeasure.datasets.xmrec.loader import XmrecData

from ..bag import Bag
from ..config import Inference
from ..features import Workbench, first_stage
from ..ranker import fold_models, predict, user_folds

TOLERANCE = 1e-12
"""The two ways of adding the same leaf values may differ by rounding only."""


def prepared(config: Inference, data: XmrecData) -> Callable[[], None]:
    """Train the bag, check that both forms agree on the scored lists; what it returns scores them once more."""
    stage = first_stage(Workbench(data, config.system.tables), config.system)
    listed = np.arange(len(stage.rows.features))
    rows = stage.rows.of(listed[: config.trained_on])
    folds = user_folds(len(rows.features), config.system.folds, 0)
    boosters = [model for _, model in fold_models(rows, config.system.trees, folds, 0)]
    scored = stage.rows.of(listed[: config.users]).features
    flat = scored.reshape(-1, scored.shape[-1])
    bag = Bag.of(boosters)

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
