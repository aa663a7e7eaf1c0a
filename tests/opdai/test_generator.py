"""Simulated markets: the right layout, reproducible, and with the signal that their knobs promise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from remeasure.datasets.xmrec.generator import Generator, generate
from remeasure.datasets.xmrec.loader import Request, XmrecData, judge, simulation
from remeasure.datasets.xmrec.markets import Lists, Market, read_markets
from remeasure.datasets.xmrec.write import write_markets
from remeasure.errors import UserError
from remeasure.impls.common.ranking import ndcg_at, ranks
from remeasure.impls.opdai.corpus import Purpose, build_corpus

TINY = simulation(Request(scale="tiny"), ("north", "south"), ("home", "away"))
SMOKE = simulation(Request(scale="smoke"), ("north", "south"), ("home",))


def same(one: Market, other: Market) -> bool:
    tables, others = one.tables(), other.tables()
    if list(tables) != list(others) or not all(tables[name].equals(others[name]) for name in tables):
        return False
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and (a.users == b.users).all() and (a.items == b.items).all())
        for a, b in ((one.valid_run, other.valid_run), (one.test_run, other.test_run))
    )


def itemcf(data: XmrecData, markets: tuple[str, ...]) -> np.ndarray:
    """Cosine ItemCF, plainly: scores of the judged lists, float [U, C]."""
    corpus = build_corpus(data, markets, purpose=Purpose.JUDGED)
    binary = corpus.binary
    common = (binary.T @ binary).toarray()
    norm = np.sqrt(np.maximum(common.diagonal(), 1))
    similarity = common / norm / norm[:, None]
    columns = corpus.columns(data.candidates)
    scores = np.take_along_axis(binary[corpus.rows(data.users)] @ similarity, np.maximum(columns, 0), axis=1)
    return np.where(columns < 0, 0.0, scores)


def ndcg(data: XmrecData, scores: np.ndarray) -> float:
    positive = (data.candidates == data.positives[:, None]).argmax(axis=1)
    return float(ndcg_at(ranks(scores, positive, data.candidates)).mean())


def test_written_markets_are_read_back_exactly(tmp_path: Path) -> None:
    markets = generate(TINY)
    write_markets(markets, tmp_path)
    back = read_markets(tmp_path, list(markets))
    assert list(back) == list(markets)
    assert all(same(markets[name], back[name]) for name in markets)


def test_short_lists_and_missing_files_are_written_too(tmp_path: Path) -> None:
    train = pd.DataFrame({"userId": ["u"], "itemId": ["a"], "rating": [2.0]})
    lists = Lists(np.array(["u", "v"]), np.array([["a", "b"], ["c", ""]]))
    market = Market("home", train=train, test_run=lists)
    write_markets(replace(generate(TINY), by_name={"home": market}), tmp_path)
    assert same(market, read_markets(tmp_path)["home"])


def test_the_same_seed_gives_the_same_markets_and_another_seed_others() -> None:
    one, two, other = generate(TINY), generate(TINY), generate(replace(TINY, seed=1))
    assert all(same(one[name], two[name]) for name in one)
    assert not any(same(one[name], other[name]) for name in one)


def test_labels_and_history_fit_together_as_in_the_real_files() -> None:
    for market in generate(TINY).values():
        assert market.train is not None and market.train_5core is not None
        assert market.valid_qrel is not None and market.valid_run is not None
        pairs = {name: set(zip(t["userId"], t["itemId"], strict=True)) for name, t in market.tables().items()}
        assert not pairs["valid_qrel"] & (pairs["train"] | pairs["train_5core"])
        assert 0 < len(pairs["train_5core"] - pairs["train"]) < 0.2 * len(pairs["train_5core"])
        assert market.train_5core["userId"].value_counts().min() >= 3
        assert set(market.valid_qrel["userId"]) == set(market.train_5core["userId"])
        assert market.valid_qrel["userId"].is_unique
        past = pairs["train"] | pairs["train_5core"]
        shown = {
            (user, item)
            for user, items in zip(market.valid_run.users, market.valid_run.items, strict=True)
            for item in items
        }
        assert not shown & past and pairs["valid_qrel"] <= shown


def test_only_targets_have_test_lists_and_sources_lists_are_optional() -> None:
    markets = generate(replace(TINY, source_lists=False))
    assert markets["home"].test_run is not None and markets["home"].valid_run is not None
    assert markets["north"].test_run is None and markets["north"].valid_run is None


def test_overlap_is_the_share_of_the_catalogue_in_common() -> None:
    def sold(market: Market) -> set[str]:
        return set().union(*(table["itemId"] for table in market.tables().values()))

    apart = generate(replace(TINY, overlap=0.0))
    assert not sold(apart["home"]) & sold(apart["north"])
    half = generate(replace(TINY, overlap=0.5))
    assert 0.3 < len(sold(half["home"]) & sold(half["north"])) / len(sold(half["home"])) < 0.7


def test_scarcity_thins_the_targets_alone() -> None:
    full, thin = generate(TINY), generate(replace(TINY, scarcity=0.2))
    assert len(thin["home"].coded.tables["train"].users) < 0.95 * len(
        full["home"].coded.tables["train"].users
    )
    assert len(thin["north"].coded.tables["train"].users) == len(full["north"].coded.tables["train"].users)


def test_popularity_beats_chance_and_itemcf_beats_popularity() -> None:
    markets = generate(SMOKE)
    data = judge(markets, Request(target="home"))
    core = markets["home"].train_5core
    assert core is not None
    counts = core["itemId"].value_counts()
    flat = counts.reindex(data.candidates.ravel()).fillna(0).to_numpy()
    popularity = ndcg(data, flat.reshape(data.candidates.shape))
    assert popularity > 2.5 * 0.0454
    assert ndcg(data, itemcf(data, ("home",))) > 1.5 * popularity


def test_sources_without_relevance_carry_no_signal_about_what_goes_together() -> None:
    """With thin targets, related sources help ItemCF and unrelated ones do not (invariant 11)."""
    gains = {}
    for relevance in (0.0, 1.0):
        config = replace(
            SMOKE, relevance=relevance, scarcity=0.2, overlap=1.0, source_size=3.0, popularity=0.5
        )
        data = judge(generate(config), Request(target="home"))
        gains[relevance] = ndcg(data, itemcf(data, ("home", "north", "south"))) - ndcg(
            data, itemcf(data, ("home",))
        )
    assert gains[0.0] < 0.005
    assert gains[1.0] > gains[0.0] + 0.01


def test_impossible_configurations_are_refused() -> None:
    for config in (replace(TINY, overlap=1.5), replace(TINY, relevance=-0.1), replace(TINY, scarcity=1.0)):
        with pytest.raises(UserError, match="must lie in"):
            generate(config)
    with pytest.raises(UserError, match="distinct names"):
        generate(Generator(("home",), ("home",)))
