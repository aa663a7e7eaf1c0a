"""Training rows as pairs of a request and an item that followed: their tokens, weights and chances."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from remeasure.datasets.common.interactions import Rows

from .learning.value import SampleWeights, ValueBins
from .questions import Generating
from .requests import Catalogue, Requests, Samples

DAY_S = 86_400.0


@dataclass(frozen=True, eq=False)
class Units:
    """What values and weights are measured in; fitted to training rows, and kept for all that comes later."""

    mean_spent: float
    """Value so far of a training row."""
    bins: ValueBins | None
    weights: SampleWeights

    @classmethod
    def fit(cls, rows: Rows, bins: int) -> Units:
        """To training rows; without bins where there is no value token."""
        deep = depth_of_targets(rows) > 0
        return cls(
            float(rows.spent().mean()) or 1.0,
            ValueBins.fit(rows.value, bins) if bins else None,
            SampleWeights.fit(rows.spent()[rows.row()], deep),
        )

    def samples(
        self, requests: Requests, spent: np.ndarray, row: np.ndarray, item: np.ndarray, value: np.ndarray,
        depth: np.ndarray, chance: np.ndarray | None = None,
    ) -> Samples:  # fmt: skip
        """Pairs int64 [P] of a request and an item, of that value, depth and chance to be drawn; `spent` float64 [R] is
        the requests'. Without chances each pair is read once an epoch."""
        token = self.bins.of(value) if self.bins else np.zeros(len(row), dtype=np.int64)
        weight = self.weights.of(spent[row], depth > 0).astype(np.float32)
        upto = None if chance is None else torch.from_numpy(np.cumsum(chance) / chance.sum())
        rows, items, tokens, weights = (torch.from_numpy(part) for part in (row, item, token, weight))
        return Samples(requests, rows, items, tokens, weights, upto)


def samples_of(rows: Rows, catalogue: Catalogue, asked: Generating, units: Units) -> Samples:
    """All pairs of training rows, a user's rows in order of time."""
    asking, pair, chance = _reached(rows, asked.reach, asked.reach_decay)
    if asked.half_life:
        chance = chance * np.exp2((rows.time[asking] - rows.time.max()) / (DAY_S * asked.half_life))
    return units.samples(
        Requests.of(rows, catalogue, asked.history, units.mean_spent),
        rows.spent(),
        asking,
        rows.item[pair],
        rows.value[pair],
        depth_of_targets(rows)[pair],
        chance if asked.half_life or asked.reach > 1 else None,
    )


def depth_of_targets(rows: Rows) -> np.ndarray:
    """int64 [T], of training rows, whose targets are the events that follow the history."""
    within = np.arange(len(rows.item)) - np.repeat(rows.offsets[:-1], np.diff(rows.offsets))
    depth: np.ndarray = rows.log.depth[rows.end[rows.row()] + within]
    return depth


def _reached(rows: Rows, reach: int, decay: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which row asks for which of the T targets: its own, and those of the user's next rows, each one later with
    `decay` times the chance. Rows int64 [P], targets int64 [P], chances float64 [P]."""
    row = rows.row()
    asking, pairs, chances = [], [], []
    for later in range(reach):
        able = np.flatnonzero((row >= later) & (rows.user[row - later] == rows.user[row]))
        asking.append(row[able] - later)
        pairs.append(able)
        chances.append(np.full(len(able), decay**later))
    return np.concatenate(asking), np.concatenate(pairs), np.concatenate(chances)
