"""Corpora: right content, stable under renaming, and unable to hold what they will be judged on."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from remeasure.datasets.xmrec.generator import generate
from remeasure.datasets.xmrec.loader import Request, XmrecData, judge, load, simulation
from remeasure.datasets.xmrec.markets import Market, Markets
from remeasure.errors import UserError
from remeasure.impls.opdai.corpus import (
    Corpus,
    JudgedCorpus,
    LeakError,
    LeakyCorpus,
    Purpose,
    SubmissionCorpus,
    assert_no_leak,
    build_corpus,
    leaky_corpus,
)
from remeasure.impls.opdai.merges import merges


@pytest.fixture(scope="module")
def data() -> XmrecData:
    return load(Request(scale="tiny"), None)


def table(*rows: tuple[str, str, float]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=["userId", "itemId", "rating"])


def small(markets: Mapping[str, Market]) -> XmrecData:
    """Data judged on user u of market `home`, positive `new`."""
    empty = load(Request(scale="tiny"), None)
    return replace(
        empty, markets=markets, target="home", users=np.array(["u"]), positives=np.array(["new"]), notes=()
    )


def content(corpus: Corpus) -> dict[tuple[str, str], float]:
    matrix = corpus.ratings.tocoo()
    names = zip(corpus.users[matrix.row].tolist(), corpus.items[matrix.col].tolist(), strict=True)
    return dict(zip(names, matrix.data.tolist(), strict=True))


HOME = Market(
    "home",
    train=table(("u", "b", 2), ("u", "a", 4), ("u", "b", 5), ("v", "a", 1)),
    train_5core=table(("u", "b", 1), ("v", "c", 1)),
    valid_qrel=table(("u", "new", 1)),
)
AWAY = Market("away", train_5core=table(("w", "a", 1)), valid_qrel=table(("w", "z", 1)))
HOME_PAIRS = {("home\tu", "a"): 4, ("home\tu", "b"): 2, ("home\tv", "a"): 1, ("home\tv", "c"): 5}
AWAY_PAIRS = {("away\tw", "a"): 5, ("away\tw", "z"): 1}


def test_trains_rating_wins_and_5core_ratings_count_as_five() -> None:
    corpus = build_corpus(small({"home": HOME, "away": AWAY}), ("home", "away"), purpose=Purpose.JUDGED)
    assert content(corpus) == HOME_PAIRS | AWAY_PAIRS
    assert corpus.users.tolist() == ["away\tw", "home\tu", "home\tv"]
    assert corpus.items.tolist() == ["a", "b", "c", "z"]
    assert corpus.target_rows.tolist() == [False, True, True]
    assert corpus.ratings.dtype == np.float32 and corpus.ratings.has_sorted_indices
    assert set(corpus.binary.data.tolist()) == {1.0} and corpus.ratings.max() == 5


def test_the_targets_labels_enter_for_submissions_only() -> None:
    data = small({"home": HOME, "away": AWAY})
    judged = build_corpus(data, ("home",), purpose=Purpose.JUDGED)
    submission = build_corpus(data, ("home",), purpose=Purpose.SUBMISSION)
    assert type(judged) is JudgedCorpus and type(submission) is SubmissionCorpus
    assert "new" not in judged.items and content(submission) == HOME_PAIRS | {("home\tu", "new"): 1}
    assert judged.fingerprint != submission.fingerprint


def test_tables_can_be_chosen() -> None:
    corpus = build_corpus(small({"home": HOME}), ("home",), purpose=Purpose.JUDGED, tables=("train_5core",))
    assert content(corpus) == {("home\tu", "b"): 5, ("home\tv", "c"): 5}
    assert corpus.items.tolist() == ["b", "c"]


def test_rows_and_columns_are_found_by_name() -> None:
    namesake = replace(AWAY, train_5core=table(("u", "a", 1), ("w", "a", 1)))
    corpus = build_corpus(small({"home": HOME, "away": namesake}), ("home", "away"), purpose=Purpose.JUDGED)
    rows = corpus.rows(np.array(["v", "w", "u"]))
    assert rows.dtype == np.int32
    assert rows.tolist() == [3, -1, 2]
    columns = corpus.columns(np.array([["c", "", "a"], ["nothing", "z", "b"]]))
    assert columns.dtype == np.int32
    assert columns.tolist() == [[2, -1, 0], [-1, 3, 1]]


def test_no_judged_pair_is_in_any_merge(data: XmrecData) -> None:
    for merge in merges(data.target, data.co_targets, data.sources):
        corpus = build_corpus(data, merge, purpose=Purpose.JUDGED)
        stored = content(corpus)
        for user, item in zip(data.users.tolist(), data.positives.tolist(), strict=True):
            assert (f"{data.target}\t{user}", item) not in stored


def test_a_planted_pair_makes_the_guard_refuse(data: XmrecData) -> None:
    planted = table((str(data.users[7]), str(data.positives[7]), 5.0))
    target = data.markets[data.target]
    for name in ("train", "train_5core"):
        grown: Any = {name: pd.concat([target.tables()[name], planted], ignore_index=True)}
        leaking = replace(data, markets={**data.markets, data.target: replace(target, **grown)})
        with pytest.raises(LeakError, match="holds 1 judged pairs"):
            build_corpus(leaking, (data.target,), purpose=Purpose.JUDGED)


def test_a_leak_must_be_asked_for_and_is_recognised() -> None:
    for lists in ("official", "holdout"):
        data = load(Request(scale="tiny", lists=lists), None)
        leaky = leaky_corpus(data, (data.target, *data.sources))
        assert type(leaky) is LeakyCorpus and not isinstance(leaky, JudgedCorpus)
        with pytest.raises(LeakError, match=f"holds {len(data.users)} judged pairs"):
            assert_no_leak(leaky, data.users, data.positives)


def test_submission_corpora_of_judged_users_fail_the_guard(data: XmrecData) -> None:
    corpus = build_corpus(data, (data.target,), purpose=Purpose.SUBMISSION)
    with pytest.raises(LeakError):
        assert_no_leak(corpus, data.users, data.positives)


def test_unknown_markets_and_empty_merges_are_refused() -> None:
    data = small({"home": HOME, "away": AWAY})
    with pytest.raises(UserError, match="no market 'mars' to merge; the markets are home, away"):
        build_corpus(data, ("home", "mars"), purpose=Purpose.JUDGED)
    with pytest.raises(UserError, match="merge of away has no interactions in train"):
        build_corpus(data, ("away",), purpose=Purpose.JUDGED, tables=("train",))


def test_a_market_that_shares_no_item_leaves_the_targets_part_alone() -> None:
    markets = generate(replace(simulation(Request(scale="tiny"), ("far",), ("home",)), overlap=0.0))
    data = judge(markets, Request(target="home"))
    alone = build_corpus(data, ("home",), purpose=Purpose.JUDGED)
    merged = build_corpus(data, ("home", "far"), purpose=Purpose.JUDGED)
    part = {pair: value for pair, value in content(merged).items() if pair[0].startswith("home\t")}
    assert part == content(alone)
    sold = merged.columns(alone.items)
    assert (sold >= 0).all()
    assert not merged.ratings[~merged.target_rows][:, sold].nnz


def test_row_order_and_merge_order_change_nothing(data: XmrecData) -> None:
    target = data.markets[data.target]
    distinct = {name: t.drop_duplicates(["userId", "itemId"]) for name, t in target.tables().items()}
    shuffled: Any = {name: t.sample(frac=1, random_state=2) for name, t in distinct.items()}
    other = replace(data, markets={**data.markets, data.target: replace(target, **shuffled)})
    names = tuple(data.markets)
    first = build_corpus(data, names, purpose=Purpose.JUDGED)
    second = build_corpus(other, names[::-1], purpose=Purpose.JUDGED)
    assert first.fingerprint == second.fingerprint


def test_renaming_markets_users_and_items_changes_names_only(data: XmrecData) -> None:
    def renamed(market: Market) -> Market:
        tables: Any = {
            name: t.assign(userId="new-" + t["userId"], itemId="new-" + t["itemId"])
            for name, t in market.tables().items()
        }
        return Market("x-" + market.name, **tables)

    markets = Markets({f"x-{name}": renamed(market) for name, market in data.markets.items()})
    other = replace(
        data,
        markets=markets,
        target=f"x-{data.target}",
        users=np.char.add("new-", data.users),
        positives=np.char.add("new-", data.positives),
    )
    first = build_corpus(data, tuple(data.markets), purpose=Purpose.JUDGED)
    second = build_corpus(other, tuple(markets), purpose=Purpose.JUDGED)
    assert abs(first.ratings - second.ratings).max() == 0
    assert (first.target_rows == second.target_rows).all()


def test_three_sources_and_two_targets_give_the_ten_combinations() -> None:
    found = {frozenset(merge) for merge in merges("t", ("o",), ("a", "b", "c"))}
    expected = ["t", "to", "toabc", "ta", "tb", "tc", "tab", "tac", "tbc", "tabc"]
    assert found == {frozenset(merge) for merge in expected}
    assert len(merges("t", ("o",), ("a", "b", "c"))) == 10


def test_merges_of_other_role_counts() -> None:
    assert merges("t", (), ()) == (("t",),)
    assert merges("t", (), ("a",)) == (("t",), ("t", "a"))
    many = merges("t", (), ("a", "b", "c", "d"))
    assert len(many) == len(set(many)) == 1 + 1 + 4 + 4
    assert all(merge[0] == "t" for merge in many)
