"""Revenue where the truth is known: each arm learns from the simulated log and is paid for its lists."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from remeasure.datasets.adsim.loader import Adsim
from remeasure.datasets.common.interactions import training_rows

from ..arms import Recommending, fitted
from ..cases.metrics import FIT, HR_10, HR_50, REVENUE, SERVE
from ..measures import Ratio, judge

LENGTH, PAID = 50, 10
NOISE = 0.2
"""Standard deviation of the log of a reward over the true eCPM, as in the log."""


def paid(asked: Recommending, data: Adsim, seed: int) -> Callable[[], dict[str, object]]:
    """Revenue@10 of each test user's list as a share of what the best lists earn, and hits of his last click."""

    def run() -> dict[str, object]:
        split, world = data.test, data.world
        worth = world.worth(np.arange(len(world.ads)))
        begun = time.process_time()
        model = fitted(asked, split, seed, worth, _reward(data, seed))
        ready = time.process_time()
        lists = model.top(split.rows, LENGTH)[0]
        served = time.process_time()
        users = split.rows.user
        earned = world.revenue(users, lists[:, :PAID])
        best = world.revenue(users, world.oracle(users, PAID))
        judged = judge(lists, split.rows)
        return {
            "units": data.users[users].tolist(),
            REVENUE.name: Ratio(users, earned, best).by_user()[1],
            HR_10.name: judged.hits(10).by_user()[1],
            HR_50.name: judged.hits(LENGTH).by_user()[1],
            FIT.name: ready - begun,
            SERVE.name: served - ready,
        }

    return run


def _reward(data: Adsim, seed: int) -> Callable[[Tensor, Tensor], Tensor]:
    """A reward model: the true eCPM of an ad for a training row's user, with noise that is the same every time."""
    user = training_rows(data.test.train).user
    generator = np.random.default_rng([seed, 29])
    noise = np.exp(NOISE * generator.standard_normal((256, len(data.world.ads))))

    def reward(rows: Tensor, items: Tensor) -> Tensor:
        who, ads = user[rows.numpy()], items.numpy()
        return torch.from_numpy(
            (data.world.ecpm(who, ads) * noise[who[:, None] % 256, ads]).astype(np.float32)
        )

    return reward
