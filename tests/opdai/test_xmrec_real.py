"""The published files hold what the specification says; needs the mirror in $REMEASURE_DATA."""

import os
from pathlib import Path

import numpy as np
import pytest

from remeasure.datasets.xmrec.describe import describe
from remeasure.datasets.xmrec.loader import Request, XmrecData, load
from remeasure.datasets.xmrec.markets import Markets, read_markets
from remeasure.impls.common.ranking import ndcg_at, ranks
from remeasure.impls.opdai.corpus import Purpose, build_corpus

ROOT = Path(os.environ.get("REMEASURE_DATA", "")) / "xmrec"

pytestmark = pytest.mark.skipif(
    "REMEASURE_DATA" not in os.environ or not ROOT.is_dir(), reason="no real xmrec files in $REMEASURE_DATA"
)

# rows, users, items, duplicate pairs; of s1 only what does not need its train file
TRAIN = {
    "s2": (115_549, 18_875, 4_960, 1_147),
    "s3": (54_202, 8_601, 2_797, 789),
    "t1": (60_168, 9_742, 3_429, 1_392),
    "t2": (120_320, 18_242, 8_834, 1_690),
}
CORE = {
    "s1": (77_173, 6_466, 9_762, 208),
    "s2": (48_302, 7_109, 2_198, 137),
    "s3": (23_367, 3_328, 1_245, 131),
    "t1": (19_615, 2_697, 1_357, 132),
    "t2": (41_226, 5_482, 2_917, 165),
}
QREL = {
    "s1": (6_466, 3_980),
    "s2": (7_109, 1_303),
    "s3": (3_328, 800),
    "t1": (2_697, 815),
    "t2": (5_482, 1_659),
}
# de-duplicated union of train and 5-core; pairs of the 5-core that train lacks
UNION = {"s2": (122_968, 8_566), "s3": (53_785, 372), "t1": (60_400, 1_624), "t2": (120_178, 1_548)}
STARS = {
    "s2": {5: 82_361, 4: 15_956, 3: 6_400, 2: 3_599, 1: 7_233},
    "s3": {5: 36_192, 4: 10_166, 3: 3_667, 2: 1_929, 1: 2_248},
    "t1": {5: 43_131, 4: 7_974, 3: 3_437, 2: 2_174, 1: 3_452},
    "t2": {5: 84_130, 4: 19_374, 3: 7_231, 2: 3_810, 1: 5_775},
}


@pytest.fixture(scope="module")
def markets() -> Markets:
    return read_markets(ROOT)


@pytest.fixture(scope="module")
def t1() -> XmrecData:
    return load(Request(target="t1"), ROOT)


def test_counts_of_the_files(markets: Markets) -> None:
    counts = describe(markets)
    fields = ("rows", "users", "items", "duplicates")
    for prefix, expected in (("train", TRAIN), ("train_5core", CORE)):
        for name, values in expected.items():
            assert tuple(counts.loc[name, [f"{prefix}_{field}" for field in fields]]) == values, (
                prefix,
                name,
            )
    for name, labels in QREL.items():
        assert tuple(counts.loc[name, ["valid_qrel_rows", "valid_qrel_items"]]) == labels
        assert counts.loc[name, "valid_qrel_users"] == labels[0]
    for name, union in UNION.items():
        assert tuple(counts.loc[name, ["union", "core_only"]]) == union
    assert tuple(counts.loc["t1", ["valid_run_users", "valid_run_items"]]) == (2_697, 1_385)
    assert tuple(counts.loc["t1", ["test_run_users", "test_run_items"]]) == (2_697, 1_385)
    assert tuple(counts.loc["s3", ["valid_run_users", "valid_run_items"]]) == (3_328, 1_268)


def test_ratings(markets: Markets) -> None:
    for name, expected in STARS.items():
        train = markets[name].train
        assert train is not None and train["rating"].value_counts().to_dict() == expected
    for market in markets.values():
        assert market.train_5core is not None and (market.train_5core["rating"] == 1).all()


@pytest.mark.parametrize("name", ["t1", "s3"])
def test_official_lists_show_no_history_and_hide_the_positive_anywhere(markets: Markets, name: str) -> None:
    data = load(Request(target=name), ROOT)
    market = markets[name]
    past = build_corpus(data, (name,), purpose=Purpose.JUDGED, tables=("train", "train_5core"))
    columns, rows = past.columns(data.candidates), past.rows(data.users)
    width = len(past.items)
    stored = (
        np.repeat(np.arange(len(past.users)), np.diff(past.ratings.indptr)) * width + past.ratings.indices
    )
    assert not np.isin((rows[:, None].astype(np.int64) * width + columns)[columns >= 0], stored).any()
    assert data.candidates.shape[1] == 100
    place = (data.candidates == data.positives[:, None]).argmax(axis=1)
    assert abs(place.mean() - 49.5) < 2
    assert market.train_5core is not None and market.valid_qrel is not None
    catalogue = set(market.train_5core["itemId"]) | set(market.valid_qrel["itemId"])
    shown = set(data.candidates.ravel().tolist())
    assert catalogue <= shown and len(shown - catalogue) < 30


def test_reference_values_on_t1(markets: Markets, t1: XmrecData) -> None:
    place = (t1.candidates == t1.positives[:, None]).argmax(axis=1)
    as_given = -np.broadcast_to(np.arange(100.0), t1.candidates.shape)
    assert ndcg_at(ranks(as_given, place, t1.candidates)).mean() == pytest.approx(0.0434, abs=5e-5)
    core = markets["t1"].train_5core
    assert core is not None
    counts = core["itemId"].value_counts().reindex(t1.candidates.ravel()).fillna(0).to_numpy()
    popularity = ndcg_at(ranks(counts.reshape(t1.candidates.shape), place, t1.candidates)).mean()
    assert popularity == pytest.approx(0.326, abs=0.0005)


def test_corpus_sizes(t1: XmrecData) -> None:
    alone = build_corpus(t1, ("t1",), purpose=Purpose.JUDGED)
    assert alone.ratings.nnz == 60_400 and int(alone.target_rows.sum()) == len(alone.users)
    assert (t1.sources, t1.co_targets) == (("s1", "s2", "s3"), ("t2",))
    submission = build_corpus(t1, ("t1",), purpose=Purpose.SUBMISSION)
    assert submission.ratings.nnz == 60_400 + 2_697


def test_resampled_lists_are_the_rule_where_there_are_no_official_ones() -> None:
    data = load(Request(target="t2", lists="resampled"), ROOT)
    assert data.candidates.shape == (5_482, 100)
    assert data.label == "t2 (resampled lists)"
