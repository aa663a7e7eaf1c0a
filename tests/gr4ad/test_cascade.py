"""The cascade baseline: its stages, what they are learned from, what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from gr4ad.test_tiger import walks
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.adsim.loader import Adsim, Request, load
from remeasure.datasets.common.interactions import Items, training_rows
from remeasure.errors import UserError
from remeasure.impls.gr4ad.baselines import popularity
from remeasure.impls.gr4ad.baselines.cascade import fitting, rank, towers
from remeasure.impls.gr4ad.baselines.cascade.config import Cascade, Din, Towers, Trees
from remeasure.impls.gr4ad.baselines.cascade.features import NAMES, NEVER, Counts, features
from remeasure.impls.gr4ad.baselines.cascade.fitting import fit
from remeasure.impls.gr4ad.baselines.cascade.inputs import History, Reading, catalogue
from remeasure.impls.gr4ad.baselines.cascade.model import CascadeModel, leave, retrieve
from remeasure.impls.gr4ad.baselines.config import Popularity
from remeasure.impls.gr4ad.measures import judge

TINY = Cascade(
    size=6,
    retrieved=9,
    kept=6,
    folds=2,
    towers=Towers(dim=8, negatives=5, epochs=2, batch=64),
    trees=Trees(rounds=5, depth=3, list=6, least=5),
    din=Din(dim=8, hidden=8, epochs=2, batch=32, list=5),
)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def shop(count: int = 12) -> Items:
    names = np.arange(count).astype(str)
    vectors = np.random.default_rng(4).standard_normal((count, 5)).astype(np.float32)
    place = np.arange(count)
    return Items(
        names, np.full(count, "", object), place % 4, names[:4], place % 3, ("a", "b", "c"), vectors=vectors
    )


def fitted(seed: int = 0, config: Cascade = TINY, worth: np.ndarray | None = None) -> CascadeModel:
    items = shop()
    assert items.vectors is not None
    return fit(walks(), items, items.vectors, config, np.random.default_rng(seed), worth)


tiny = cache(fitted)


@cache
def ads() -> Adsim:
    return load(Request(ads=80, users=150, requests=20), None)


def test_each_stage_ranks_simulated_ads_better_than_popularity():
    data = ads()
    log, rows, items = data.test.train, data.test.rows, data.test.items
    usual = popularity.fit(log, items, Popularity(), np.random.default_rng(0)).top(rows, 10)[0]
    assert items.vectors is not None
    config = Cascade(
        retrieved=40, kept=20, folds=2, rows=2000, towers=Towers(epochs=6, dim=16), trees=Trees(rounds=40)
    )
    model = fit(log, items, items.vectors, config, np.random.default_rng(0))
    for until in ("retrieval", "pre-rank", "rank"):
        trees, din = model.trees if until != "retrieval" else None, model.din if until == "rank" else None
        made = replace(model, config=replace(config, until=until), trees=trees, din=din)
        hits = judge(made.top(rows, 10)[0], rows).hits(10).overall()
        assert hits > judge(usual, rows).hits(10).overall() + 0.1, until


def test_the_value_known_at_serving_raises_what_is_earned():
    data = ads()
    log, rows, items, world = data.test.train, data.test.rows, data.test.items, data.world
    assert items.vectors is not None
    config = Cascade(until="retrieval", towers=Towers(epochs=4, dim=16))
    worth = world.worth(np.arange(len(items)))
    earned = [
        world.revenue(
            rows.user,
            fit(log, items, items.vectors, config, np.random.default_rng(0), value).top(rows, 10)[0],
        )
        for value in (None, worth)
    ]
    assert earned[1].sum() > 1.03 * earned[0].sum()


def test_the_same_seed_gives_the_same_bytes_and_another_one_others():
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, again, other = fitted(1), fitted(1), fitted(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert _bytes(one) == _bytes(again) != _bytes(other)
    tops = [made.top(training_rows(walks(5)), 4) for made in (one, again)]
    assert all(a.tobytes() == b.tobytes() for a, b in zip(*tops, strict=True))


def test_lists_leave_out_what_was_seen_and_end_where_nothing_is_left():
    rows = training_rows(walks(5))
    items, scores = tiny().top(rows, 6)
    assert items.dtype == np.int64
    assert scores.dtype == np.float32
    assert (np.diff(scores, axis=1) <= 0).all()
    assert all(len(set(row)) == 6 for row in items)
    unseen, scores = tiny().top(rows, 6, exclude_seen=True)
    for row in range(len(rows)):
        seen = set(rows.log.item[rows.start[row] : rows.end[row]])
        assert not seen & set(unseen[row])
        assert (unseen[row] >= 0).sum() == min(6, 12 - len(seen))
    assert (np.isneginf(scores) == (unseen < 0)).all()


def test_batches_change_no_list(monkeypatch):
    rows = training_rows(walks(4))
    whole = tiny().top(rows, 6)[0]
    monkeypatch.setattr("remeasure.impls.gr4ad.baselines.cascade.model.BATCH", 3)
    assert (tiny().top(rows, 6)[0] == whole).all()


def test_a_list_longer_than_what_the_last_stage_scores_is_refused():
    with pytest.raises(
        UserError, match="7 items are asked for and the rank stage scores 6; let at least 7 reach it"
    ):
        tiny().top(training_rows(walks(2)), 7)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 999), many=st.integers(1, 14), missing=st.integers(0, 5))
def test_what_is_left_is_the_best_of_the_candidates(seed, many, missing):
    rng = np.random.default_rng(seed)
    item = np.stack([rng.permutation(12)[:10] for _ in range(3)])
    item[:, 10 - missing :] = -1
    value, worth = rng.standard_normal((3, 10)), rng.standard_normal(12)
    left, kept = leave(item, value, worth, many)
    for row in range(3):
        there = item[row] >= 0
        score = (value[row] + worth[item[row]])[there]
        expected = item[row][there][np.argsort(-score)][:many]
        assert left[row][: len(expected)].tolist() == expected.tolist()
        assert (left[row][len(expected) :] == -1).all()
        known = [value[row][item[row] == one][0] for one in expected]
        assert kept[row][: len(expected)].tolist() == known


def test_retrieval_takes_the_best_of_all_items():
    made, rows = tiny(), training_rows(walks(3))
    history = History.of(made.reading(rows))
    worth = np.linspace(0, 3, 12).astype(np.float32)
    item, log_p = retrieve(made.towers, history, worth, 4)
    every = made.towers.log_p(history)
    np.testing.assert_allclose(np.exp(every).sum(1), 1, rtol=1e-5)
    assert (item == np.argsort(-(every + worth), axis=1)[:, :4]).all()
    assert (log_p == np.take_along_axis(every, item, 1)).all()


def test_towers_with_drawn_negatives_learn_the_frequencies_of_what_follows():
    """One history, after which item n follows in proportion to n + 1."""
    rows, known = training_rows(walks(1, 3)), catalogue(shop(), shop().vectors)
    requests = Reading.of(rows, known, 6)(rows)
    item = torch.repeat_interleave(torch.arange(12), torch.arange(1, 13))
    pairs = towers.Pairs(requests, torch.zeros(78, dtype=torch.long), item, torch.ones(78))
    for negatives, apart in ((6, 0.06), (12, 0.01)):
        config = Towers(
            dim=8, negatives=negatives, epochs=300, batch=78, learning_rate=1e-2, weight_decay=0.0
        )
        found = towers.fit(pairs, config, np.random.default_rng(0)).log_p(History.of(requests, slice(0, 1)))[
            0
        ]
        np.testing.assert_allclose(np.exp(found), np.arange(1, 13) / 78, rtol=0, atol=apart)


def test_features_are_what_their_names_say():
    log, items = walks(5), shop()
    rows = training_rows(log).select(np.array([1, 6]))
    assert items.vectors is not None
    reading = Reading.of(rows, catalogue(items, items.vectors), 6)
    history, counts = History.of(reading(rows)), Counts.of(log, 12, None, 2.0)
    candidates = np.tile(np.arange(12), (2, 1))
    log_p = np.random.default_rng(0).standard_normal((2, 12))
    found = features(rows, history, reading, counts, candidates, log_p, candidates)
    assert found.shape == (2, 12, len(NAMES))
    assert np.isfinite(found).all()
    named = {name: found[:, :, place] for place, name in enumerate(NAMES)}
    unit = items.vectors / np.linalg.norm(items.vectors, axis=1, keepdims=True)
    for row in range(2):
        past = rows.last(6)
        events = past.item[row][past.item[row] >= 0]
        ages = past.age[row][past.item[row] >= 0]
        for one in range(12):
            of = {name: float(values[row, one]) for name, values in named.items()}
            assert of["events in the history"] == (events == one).sum()
            gap = np.log1p(ages[events == one]).min(initial=NEVER)
            assert of["gap to the latest of them"] == pytest.approx(gap)
            assert of["log events"] == pytest.approx(np.log1p(2 * (log.item == one).sum()))
            assert of["share of the history with its account"] == pytest.approx(
                (events % 4 == one % 4).mean()
            )
            assert of["share of the history with its conversion type"] == pytest.approx(
                (events % 3 == one % 3).mean()
            )
            cosines = unit[events] @ unit[one]
            assert of["largest cosine with the history"] == pytest.approx(cosines.max(), abs=1e-5)
            assert of["mean cosine with the history"] == pytest.approx(cosines.mean(), abs=1e-5)
            assert of["cosine with the latest item"] == pytest.approx(cosines[-1], abs=1e-5)
            assert of["log length of the history"] == pytest.approx(np.log(len(events)))
            assert of["value so far"] == pytest.approx(float(history.user[row, 0]))


def test_what_the_later_stages_learn_from_was_scored_by_what_never_saw_the_user(monkeypatch):
    """Every user has four items that nobody else takes, so that histories and counts say whose they are."""
    log = walks(8, 7)
    log = replace(log, item=log.user() * 4 + log.item % 4)
    taught: dict[int, set[int]] = {}
    checked = {"towers": 0, "counts": 0}
    of_towers, of_retrieve, of_features = towers.fit, fitting.retrieve, fitting.features

    def fit_towers(pairs, config, generator):
        made = of_towers(pairs, config, generator)
        taught[id(made.network)] = set((pairs.item // 4).tolist())
        return made

    def retrieve_checked(made, history, *rest):
        assert not taught[id(made.network)] & set((history.item[:, -1] // 4).tolist())
        checked["towers"] += len(history.item)
        return of_retrieve(made, history, *rest)

    def features_checked(rows, history, reading, counts, *rest):
        assert (counts.events.reshape(8, 4)[rows.user] == 0).all()
        assert counts.events.sum() == pytest.approx(len(log))
        checked["counts"] += len(rows)
        return of_features(rows, history, reading, counts, *rest)

    monkeypatch.setattr(towers, "fit", fit_towers)
    monkeypatch.setattr(fitting, "retrieve", retrieve_checked)
    monkeypatch.setattr(fitting, "features", features_checked)
    items = shop(32)
    fit(log, items, items.vectors, replace(TINY, retrieved=32, kept=32), np.random.default_rng(0))
    rows = len(training_rows(log))
    assert checked == {"towers": rows, "counts": 2 * rows}
    assert sorted(map(len, taught.values())) == [4, 4, 8]


def test_an_untrained_ranker_ranks_as_the_trees_do():
    made, rows = tiny(), training_rows(walks(3))
    network = rank.Network(made.reading.catalogue, TINY.din).eval()
    item = np.tile(np.arange(5), (len(rows), 1))
    odds = np.random.default_rng(1).standard_normal(item.shape).astype(np.float32)
    found = rank.DinModel(network).log_odds(History.of(made.reading(rows)), item, odds)
    np.testing.assert_allclose(found, odds, rtol=1e-6)


def test_padding_of_a_batch_changes_no_score_of_the_ranker():
    made, rows = tiny(), training_rows(walks(1))
    assert made.din is not None
    item = np.tile(np.arange(5), (len(rows), 1))
    odds = np.zeros(item.shape, np.float32)
    together = made.din.log_odds(History.of(made.reading(rows)), item, odds)
    alone = made.din.log_odds(History.of(made.reading(rows), slice(0, 1)), item[:1], odds[:1])
    np.testing.assert_allclose(together[:1], alone, atol=1e-5)


def test_every_scored_item_is_charged():
    rows = training_rows(walks(5))
    rows = rows.select(rows.end - rows.start == 4)
    cost = tiny().macs(rows)
    s, d, side, c, hidden, half = 4, 8, 4, 5, 8, 4
    vector = (c + d + 2 * side) * d
    tower = s * (vector + d + d + d) + (2 * d + 1) * 2 * d + 2 * d * d
    assert cost.retrieval == tower + 12 * d
    assert cost.prerank == 9 * (5 * 3 + s * (c + 1))
    once = s * (vector + d + d * half)
    pair = s * (d * half + half + 2 * d)
    candidate = vector + d * half + pair + d + (3 * d + 2) * hidden + hidden + 1
    assert cost.rank == once + 6 * candidate
    assert cost.total == cost.retrieval + cost.prerank + cost.rank
    early = replace(tiny(), config=replace(TINY, until="retrieval"), trees=None, din=None)
    assert early.macs(rows).total == cost.retrieval


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"folds": 99}, "99 folds of 40 users; choose 2 to 40."),
        (
            {"towers": replace(TINY.towers, learning_rate=float("inf"))},
            "the loss of the towers is nan in epoch 1",
        ),
        ({"din": replace(TINY.din, learning_rate=float("inf"))}, "the loss of the ranker is nan in epoch 1"),
    ],
)
def test_what_cannot_be_is_refused(changed, sentence):
    with pytest.raises(UserError, match=sentence):
        fitted(config=replace(TINY, **changed))


def test_a_log_of_single_baskets_is_refused():
    items = shop()
    assert items.vectors is not None
    with pytest.raises(UserError, match="nobody has two baskets"):
        fit(walks(events=1), items, items.vectors, TINY, np.random.default_rng(0))


def _bytes(made: CascadeModel) -> list[bytes]:
    assert made.trees is not None
    assert made.din is not None
    weights = [*made.towers.network.state_dict().values(), *made.din.network.state_dict().values()]
    return [weight.numpy().tobytes() for weight in weights] + [made.trees.booster.model_to_string().encode()]
