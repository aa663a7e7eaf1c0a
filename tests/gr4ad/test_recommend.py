"""From beams to items, in every order."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gr4ad.tiny_models import INPUTS, context, decoder, every_id

from remeasure.impls.gr4ad.engine.beam import BeamSearch
from remeasure.impls.gr4ad.learning.value import ValueBins
from remeasure.impls.gr4ad.recommend import Index, Recommender
from remeasure.impls.gr4ad.requests import Catalogue, Requests

CODES = (5, 4, 3)
SIDS = every_id().numpy()[[3, 3, 7, 20, 20, 20, 41]]
"""Of seven items."""


def requests(many: int = 3) -> Requests:
    made = context(1, size=7)
    known = Catalogue(made.content[0], torch.from_numpy(SIDS), made.account[0], made.conversion[0], INPUTS)
    item = torch.arange(many)[:, None] % 7
    return Requests(known, item, torch.zeros(many, 1), torch.zeros(many, 1))


def recommender(**given: object) -> Recommender:
    search = BeamSearch(CODES, (5, 20, 60))
    return Recommender(decoder(), search, Index.of(SIDS, CODES), **given)  # type: ignore[arg-type]


def test_items_of_one_id_follow_each_other_and_lists_end_with_the_catalogue():
    made = recommender()
    items, scores = made.ranked(made.beams(requests()), 9)
    assert items.shape == (3, 9)
    assert (items[:, 7:] == -1).all()
    assert np.isneginf(scores[:, 7:]).all()
    for row, score in zip(items[:, :7], scores[:, :7], strict=True):
        assert sorted(row) == list(range(7))
        assert (np.diff(score) <= 0).all()
        together = ["".join(map(str, row)).find(ids) for ids in ("01", "345")]
        assert min(together) >= 0


def test_only_what_is_in_the_index_is_recommended():
    made = recommender()
    part = Recommender(made.decoder, made.search, Index.of(SIDS, CODES, np.array([1, 4, 6])))
    items, _ = part.ranked(part.beams(requests()), 5)
    assert (np.sort(items, axis=1) == [-1, -1, 1, 4, 6]).all()


def test_batches_change_nothing():
    made = recommender()
    one, many = made.beams(requests(5), batch=2), made.beams(requests(5), batch=64)
    assert torch.equal(one.codes, many.codes)


def test_the_token_and_the_known_value_move_items_up_by_their_logarithm():
    bins = ValueBins(np.array([1.0, 2.0, 3.0]), np.array([0.5, 1.5, 2.5, 9.0]))
    value = np.array([1.0, 50.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    made = recommender(bins=bins, known=value)
    asked = requests()
    beams = made.beams(asked)
    by_id = {tuple(code): row for row, code in enumerate(beams.codes[0].tolist())}
    place = np.array([by_id[tuple(sid)] for sid in SIDS.tolist()])
    log_p, token = beams.log_p[0, place].numpy(), bins.expected(beams.bins[0, place]).numpy()
    orders = made.orders(asked, 7)
    assert orders["token"][0].tolist() == np.argsort(-(log_p + np.log(token)), kind="stable").tolist()
    assert orders["known"][0].tolist() == np.argsort(-(log_p + np.log(value)), kind="stable").tolist()
    assert set(orders) == {"log p", "token", "known"}


def test_without_values_there_is_one_order():
    made = recommender()
    assert list(made.orders(requests(), 3)) == ["log p"]
    with pytest.raises(ValueError, match="needs the items' values"):
        made.ranked(made.beams(requests()), 3, "known")
