"""Online Retail, real or simulated: the published figures, the splits, and wrong files named by row and field."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from interaction_checks import check, check_split, equal

from remeasure.datasets.common.interactions import training_rows
from remeasure.datasets.uci_online_retail import generator
from remeasure.datasets.uci_online_retail.lines import (
    FILE,
    PUBLISHED_TEXT,
    cleaned,
    products,
    read_lines,
    sorted_text_hash,
)
from remeasure.datasets.uci_online_retail.loader import Request, Retail, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "uci_online_retail"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ,
    reason="no real uci_online_retail in $REMEASURE_DATA",
)
SMALL = Request(customers=200, products=120)


@cache
def real() -> Retail:
    return load(Request(), REAL)


def written(folder: Path, table: pd.DataFrame) -> Path:
    table.to_parquet(folder / FILE)
    return folder


@needs_real
def test_the_cleaned_lines_have_the_published_figures() -> None:
    table, note = read_lines(REAL)
    lines = cleaned(table)
    assert note == "541,909 lines, as published"
    assert len(lines) == 397_884
    assert lines["CustomerID"].nunique() == 4_338
    assert lines["StockCode"].nunique() == 3_665
    invoices = lines.groupby("InvoiceNo").size()
    assert (len(invoices), invoices.median()) == (18_532, 15)
    value = lines["Quantity"] * lines["UnitPrice"]
    assert value.quantile([0.5, 0.9, 0.99]).tolist() == pytest.approx([11.8, 35.4, 202.5])
    assert value.sum() == pytest.approx(8.91e6, rel=1e-3)
    assert table["Country"].nunique() == 38
    sold = products(lines)
    assert (sold.groupby("CustomerID")["InvoiceNo"].nunique() >= 2).sum() == 2_829


@needs_real
def test_the_lines_are_known_whatever_program_wrote_the_file(tmp_path: Path) -> None:
    table = read_lines(REAL)[0]
    assert sorted_text_hash(table) == PUBLISHED_TEXT
    shuffled = table.sample(frac=1, random_state=0)
    shuffled.to_parquet(tmp_path / FILE, compression="gzip")
    assert read_lines(tmp_path)[1] == "541,909 lines, as published"
    shuffled.loc[shuffled.index[7], "Quantity"] += 1
    assert (
        read_lines(written(tmp_path, shuffled))[1]
        == "541,909 lines as published in number, but not in content"
    )
    assert read_lines(written(tmp_path, table[:9]))[1] == "9 lines, not the published 541,909"


@needs_real
def test_the_real_splits_are_those_of_the_study() -> None:
    data = real()
    check(data)
    assert not data.simulated and data.label == "Online Retail"
    validation, test = data.validation, data.test
    assert (len(test.rows), len(test.rows.item)) == (1_540, 36_509)
    assert (len(validation.rows), len(validation.rows.item)) == (1_004, 26_637)
    assert int(test.cold().sum()) == 291
    assert test.rows.new().mean() == pytest.approx(0.631, abs=5e-4)
    values = np.sort(test.rows.value)[::-1]
    assert values[:365].sum() / values.sum() == pytest.approx(1 / 3, abs=0.01)  # one % of the pairs
    assert test.cap == pytest.approx(207.5)
    november = pd.Timestamp("2011-11-01").timestamp()
    assert test.train.time.max() < november <= test.rows.time.min()
    october = pd.Timestamp("2011-10-01").timestamp()
    assert validation.train.time.max() < october <= validation.rows.time.min()
    assert validation.rows.time.max() < november
    assert len(training_rows(test.train)) == len(test.train.starts()) - 1 - np.count_nonzero(
        np.diff(test.train.offsets)
    )


@needs_real
def test_the_real_products_have_text_families_and_bands() -> None:
    items = real().test.items
    at = int(np.flatnonzero(items.ids == "85123A")[0])
    assert items.text[at] == "WHITE HANGING HEART T-LIGHT HOLDER"
    assert items.accounts[items.account[at]] == "85123"
    assert (len(items), len(items.accounts)) == (3_659, 3_193)
    unsold = items.conversion == 0
    assert (unsold == ~real().test.known).all() and int(unsold.sum()) == 52


@needs_real
def test_the_months_of_the_real_shop_go_from_may_to_december() -> None:
    months = list(real().months())
    assert [month.name for month in months] == [f"2011-{number:02}" for number in range(5, 13)]
    for month in months:
        check_split(month, len(real().users))
        begin = pd.Timestamp(f"{month.name}-01").timestamp()
        assert month.train.time.max() < begin <= month.rows.time.min()


def test_the_made_up_shop_is_read_by_the_same_code_and_is_repeatable() -> None:
    first, again, other = (load(request, None) for request in (SMALL, SMALL, Request(200, 120, seed=1)))
    check(first)
    assert first.simulated and "no real data" in first.notes[0] and first.label.endswith("simulated")
    assert equal(first.test, again.test) and not equal(first.test, other.test)
    for month in first.months():
        check_split(month, len(first.users))


def test_what_is_said_of_items_comes_from_training_only() -> None:
    raw = generator.simulate(SMALL)
    data = load(SMALL, None)
    late = raw["InvoiceDate"] >= pd.Timestamp("2011-11-01")
    raw.loc[late, "Quantity"] = raw.loc[late, "Quantity"] * 50
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "simulate", lambda request: raw)
        changed = load(SMALL, None)
    assert (changed.test.items.conversion == data.test.items.conversion).all()
    assert changed.test.cap == data.test.cap and changed.test.rows.value.sum() > data.test.rows.value.sum()


def test_lines_without_customer_price_or_product_are_left_out(tmp_path: Path) -> None:
    raw = generator.simulate(SMALL)
    kept = load(Request(), written(tmp_path, raw))
    more = pd.concat([raw, *(raw[:5].assign(**change) for change in OUTSIDE)], ignore_index=True)
    data = load(Request(), written(tmp_path, more))
    assert equal(data.test, kept.test)
    assert "5 of them are postage or fees" in data.notes[1]


OUTSIDE: list[dict[str, object]] = [
    {"CustomerID": np.nan},
    {"Quantity": -3.0},
    {"UnitPrice": 0.0},
    {"StockCode": "POST"},
]
BAD: dict[str, tuple[Callable[[pd.DataFrame], pd.DataFrame], str]] = {
    "column": (lambda table: table.drop(columns="UnitPrice"), "column UnitPrice is missing"),
    "price": (
        lambda table: table.assign(UnitPrice=[np.nan, *table["UnitPrice"][1:]]),
        "row 1: UnitPrice nan",
    ),
    "infinite": (
        lambda table: table.assign(UnitPrice=[1.0, np.inf, *table["UnitPrice"][2:]]),
        "row 2: UnitPrice inf is no finite number",
    ),
    "date": (
        lambda table: table.assign(InvoiceDate=["noon", *table["InvoiceDate"].astype(str)[1:]]),
        "row 1: InvoiceDate noon is no date",
    ),
    "nothing sold": (lambda table: table.assign(Quantity=-1.0), "no line has a customer, a product code"),
    "nobody returns": (
        lambda table: table.drop_duplicates("CustomerID"),
        "no customer has an invoice both before and in October 2011",
    ),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, fault: str) -> None:
    spoil, said = BAD[fault]
    written(tmp_path, spoil(generator.simulate(SMALL)))
    with pytest.raises(UserError, match=said):
        load(Request(), tmp_path)


def test_a_file_that_is_missing_or_no_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; put the table"):
        load(Request(), tmp_path)
    (tmp_path / FILE).write_text("InvoiceNo,StockCode")
    with pytest.raises(UserError, match="no readable parquet file"):
        load(Request(), tmp_path)
