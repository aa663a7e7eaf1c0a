"""Training rows as pairs: which request is asked for which item, and how often."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from remeasure.datasets.common.interactions import Log, training_rows
from remeasure.impls.gr4ad.config import Inputs
from remeasure.impls.gr4ad.learning.updates import AdamW, Updates
from remeasure.impls.gr4ad.questions import Generating
from remeasure.impls.gr4ad.requests import Catalogue
from remeasure.impls.gr4ad.samples import DAY_S, Units, depth_of_targets, samples_of

ITEMS = 9
LOG = Log(
    offsets=np.array([0, 4, 9]),
    item=np.arange(ITEMS),
    value=np.arange(1.0, 10.0),
    depth=np.array([0, 0, 1, 0, 0, 1, 0, 0, 1]),
    time=np.array([0, 1, 2, 3, 0, 1, 1, 2, 4]) * DAY_S,
    basket=np.array([0, 1, 2, 3, 4, 5, 5, 6, 7]),
)
"""Two users: baskets of one item each, but for the second user's second, which has two."""
ROWS = training_rows(LOG)
NOTHING = torch.zeros(ITEMS, dtype=torch.long)
CATALOGUE = Catalogue(torch.zeros(ITEMS, 2), NOTHING[:, None].repeat(1, 3), NOTHING, NOTHING, Inputs(2, 1, 1))


def pairs(**fields: object) -> tuple[list[tuple[int, int]], torch.Tensor | None]:
    """(last item of the history, item asked for) of every sample, and the chances added up."""
    asked = replace(Generating(history=3), **fields)
    made = samples_of(ROWS, CATALOGUE, asked, Units.fit(ROWS, asked.bins))
    last = made.requests.item[made.row, -1]
    return list(zip(last.tolist(), made.item.tolist(), strict=True)), made.upto


NEXT = [(0, 1), (1, 2), (2, 3), (4, 5), (4, 6), (6, 7), (7, 8)]
AFTER_NEXT = [(0, 2), (1, 3), (4, 7), (6, 8)]


def test_every_item_but_a_users_first_is_asked_for_once() -> None:
    assert pairs() == (NEXT, None)


def test_what_comes_a_basket_later_is_asked_for_as_often_as_is_said_and_never_across_users() -> None:
    found, upto = pairs(reach=2, reach_decay=0.25)
    assert found == NEXT + AFTER_NEXT
    assert upto is not None
    chance = np.diff(upto.numpy(), prepend=0.0)
    assert chance == pytest.approx(np.array([1.0] * 7 + [0.25] * 4) / 8)


def test_older_samples_are_drawn_half_as_often_every_half_life() -> None:
    _, upto = pairs(half_life=2.0)
    assert upto is not None
    chance = np.diff(upto.numpy(), prepend=0.0)
    days = np.array([1, 2, 3, 1, 1, 2, 4])
    assert chance / chance[-1] == pytest.approx(2.0 ** ((days - 4) / 2))


def test_samples_are_drawn_by_their_chances() -> None:
    upto = torch.tensor([0.5, 0.5, 1.0], dtype=torch.float64)
    updates = Updates(torch.nn.Linear(1, 1), AdamW(), seed=0)
    drawn = torch.cat([updates.which(3, 100, upto) for updates.done in range(20)])
    counts = torch.bincount(drawn, minlength=3)
    assert counts[1] == 0
    assert 850 < counts[0] < 1150
    assert torch.equal(updates.which(3, 100, upto), drawn[-100:])


def test_the_depth_of_a_target_is_that_of_its_event() -> None:
    assert depth_of_targets(ROWS).tolist() == [0, 1, 0, 1, 0, 0, 1]


def test_bins_and_weights_are_of_the_target_and_its_request() -> None:
    units = Units.fit(ROWS, 3)
    made = samples_of(ROWS, CATALOGUE, Generating(history=3, bins=3), units)
    assert units.bins is not None
    assert made.bin.tolist() == units.bins.of(ROWS.value).tolist()
    spent = ROWS.spent()[made.row.numpy()]
    expected = np.sqrt(1 + spent / units.weights.mean) * (1 + 2 * depth_of_targets(ROWS))
    assert made.weight.numpy() == pytest.approx(np.minimum(expected, units.weights.cap))
