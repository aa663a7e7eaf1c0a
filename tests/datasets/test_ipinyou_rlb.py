"""Auctions, real or simulated: the published figures, two published bidding rules, and wrong files by row and field."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remeasure.datasets.ipinyou_rlb.loader import Auctions, Request, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "ipinyou_rlb"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ, reason="no real ipinyou_rlb in $REMEASURE_DATA"
)
CAMPAIGNS = ["1458", "2259", "2261", "2821", "2997", "3358", "3386", "3427", "3476"]


@cache
def real() -> Auctions:
    return load(Request(), REAL)


def bid_all(data: Auctions, bids: np.ndarray, auctions: int = 1000, share: int = 32) -> tuple[int, int, int]:
    """Won, clicks and cost of given bids in episodes whose budget is a share of the usual cost."""
    campaign, log = data.campaign, data.log
    budget = auctions * campaign.train_cost // (share * campaign.train_impressions)
    won = clicks = cost = left = 0
    for at, (bid, price, clicked) in enumerate(
        zip(bids.tolist(), log.price.tolist(), log.clicked.tolist(), strict=True)
    ):
        left = budget if at % auctions == 0 else left
        if min(bid, 300, left) >= price:
            won, clicks, cost, left = won + 1, clicks + clicked, cost + price, left - price
    return won, clicks, cost


@needs_real
def test_the_real_log_has_the_published_figures() -> None:
    data = real()
    log = data.log
    assert not data.simulated and data.label == "iPinYou"
    assert (len(log.price), int(log.clicked.sum())) == (156_063, 530)
    assert log.clicked.mean() == pytest.approx(0.00340, abs=5e-6)
    assert log.price.mean() == pytest.approx(55.2, abs=0.05)
    assert (np.median(log.price), np.quantile(log.price, 0.99)) == (32, 256)
    ranks = np.argsort(np.argsort(log.pctr, kind="stable"), kind="stable") + 1
    _, place, count = np.unique(log.pctr, return_inverse=True, return_counts=True)
    mean_rank = (np.bincount(place, weights=ranks) / count)[place]
    clicks, others = log.clicked.sum(), (~log.clicked).sum()
    area = (mean_rank[log.clicked].sum() - clicks * (clicks + 1) / 2) / (clicks * others)
    assert area == pytest.approx(0.604, abs=5e-4)


@needs_real
def test_the_real_campaigns_have_the_published_totals() -> None:
    data = real()
    assert sorted(data.campaigns) == CAMPAIGNS
    first = data.campaigns["1458"]
    assert (first.train_impressions, first.train_clicks, first.train_cost) == (3_083_056, 2_454, 212_400_241)
    own = data.campaign
    assert own.name == "2997" and own.test_impressions == len(data.log.price)
    assert own.test_clicks == data.log.clicked.sum() and own.test_cost == data.log.price.sum()
    assert 1000 * own.train_cost // (32 * own.train_impressions) == 1_969


@needs_real
def test_two_published_bidding_rules_win_what_was_published() -> None:
    data = real()
    campaign, pctr = data.campaign, data.log.pctr
    truthful = np.floor(pctr * campaign.train_cost / campaign.train_clicks)
    linear = np.floor(10 * pctr * campaign.train_impressions / campaign.train_clicks)
    assert bid_all(data, truthful) == (14_752, 48, 307_751)
    assert bid_all(data, linear) == (32_208, 71, 203_610)


def test_a_made_up_log_is_like_the_real_one_and_repeatable() -> None:
    first, again, other = (load(request, None) for request in (Request(), Request(), Request(seed=1)))
    assert first.simulated and "no real data" in first.notes[0] and first.label.endswith("simulated")
    assert (first.log.price == again.log.price).all() and (first.log.price != other.log.price).any()
    assert first.log.price.dtype == np.int64 and first.log.price.min() >= 0 and first.log.price.max() <= 300
    assert first.campaign.prices.sum() == first.campaign.train_impressions == 40_000
    assert first.campaign.prices @ np.arange(301) == first.campaign.train_cost
    expected = first.log.pctr.sum()
    assert abs(first.log.clicked.sum() - expected) < 5 * np.sqrt(expected)


def totals(**changed: Any) -> dict[str, Any]:
    counts = [0] * 301
    counts[3] = 2
    zero = dict.fromkeys(("imp_test", "clk_train", "clk_test", "cost_test"), 0)
    return {"price_counter_train": counts, "imp_train": 2, "cost_train": 6, **zero, **changed}


def written(folder: Path, log: str = "0 3 0.5\n1 300 1e-3\n", **changed: Any) -> Path:
    (folder / "2997_test.theta.txt").write_text(log)
    (folder / "2997_info.json").write_text(json.dumps(totals(**changed)))
    return folder


def test_what_is_written_is_read(tmp_path: Path) -> None:
    log = load(Request(), written(tmp_path)).log
    assert log.clicked.tolist() == [False, True]
    assert (log.price.tolist(), log.pctr.tolist()) == ([3, 300], [0.5, 1e-3])


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a price that is too high": (
        lambda folder: written(folder, "0 3 0.5\n1 301 0.5\n"),
        r"2997_test.theta.txt, row 2: winning price is '301'; write a whole number, 0 to 300",
    ),
    "half a price": (lambda folder: written(folder, "0 3.5 0.5\n"), r"row 1: winning price is '3.5'"),
    "a price that is no number": (
        lambda folder: written(folder, "0 nan 0.5\n"),
        "row 1: winning price is 'nan'",
    ),
    "a negative rate": (
        lambda folder: written(folder, "0 3 -0.1\n"),
        r"predicted click rate is '-0.1'; write a num",
    ),
    "two clicks": (lambda folder: written(folder, "2 3 0.1\n"), "row 1: clicked is '2'; write 0 or 1"),
    "an empty line": (lambda folder: written(folder, "0 3 0.5\n\n0 3 0.5\n"), "row 2: clicked is ''"),
    "two fields": (lambda folder: written(folder, "0 3\n"), "2 fields a row; write clicked, winning price"),
    "no lines": (lambda folder: written(folder, ""), "is no readable text of auctions"),
    "a total that is none": (
        lambda folder: written(folder, clk_train=-1),
        r"2997_info.json: clk_train is -1; write a whole number of at least 0",
    ),
    "a histogram that is too short": (
        lambda folder: written(folder, price_counter_train=[1, 2]),
        "price_counter_train must be a list of 301 counts",
    ),
    "a histogram of other auctions": (
        lambda folder: written(folder, cost_train=7),
        "cost_train is 7, its price_counter_train says 6; make them equal",
    ),
    "no campaign": (lambda folder: (folder / "x").write_text(""), r"has no 2997_info.json; put it there"),
    "no log": (
        lambda folder: (written(folder) / "2997_test.theta.txt").unlink(),
        "theta.txt does not exist; put",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_that_says_where(tmp_path: Path, fault: str) -> None:
    spoil, said = FAULTS[fault]
    spoil(tmp_path)
    with pytest.raises(UserError, match=said):
        load(Request(), tmp_path)
