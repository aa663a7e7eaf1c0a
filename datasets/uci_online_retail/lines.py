"""Lines of invoices, read and cleaned."""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

FILE = "online_retail.parquet"
COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
PUBLISHED_LINES = 541_909
PUBLISHED_TEXT = "9654d31e2faec4bd12d08b7554eabfad78f0c086529cb13ed6cb70768d4bb48c"
"""sha256 of the sorted text: the parquet file's own hash depends on the program that wrote it."""


def read_lines(root: Path) -> tuple[pd.DataFrame, str]:
    """The table as published, and a note on what it is.

    Raises UserError for a file that is missing or no parquet table with the published columns, and for a quantity,
    price or date that is none, with its row.
    """
    path = root / FILE
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; put the table of Online Retail there.") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no readable parquet file ({error}); write it again.") from None
    if missing := [name for name in COLUMNS if name not in table.columns]:
        raise UserError(
            f"{path}: column {missing[0]} is missing; a table of Online Retail has {', '.join(COLUMNS)}."
        )
    table = table[list(COLUMNS)].reset_index(drop=True)
    for name in ("Quantity", "UnitPrice"):
        numbers = pd.to_numeric(table[name], errors="coerce").astype(np.float64)
        _refuse(path, table[name], pd.Series(~np.isfinite(numbers)), "is no finite number")
        table[name] = numbers
    dates = pd.to_datetime(table["InvoiceDate"], errors="coerce", format="ISO8601")
    _refuse(path, table["InvoiceDate"], dates.isna(), "is no date")
    table["InvoiceDate"] = dates
    return table, edition(path, table)


def edition(path: Path, table: pd.DataFrame) -> str:
    """Whether these are the published lines, whatever program wrote them."""
    if len(table) != PUBLISHED_LINES:
        return f"{len(table):,} lines, not the published {PUBLISHED_LINES:,}"
    card = tomllib.loads(Path(__file__).with_name("dataset.toml").read_text(encoding="utf-8"))
    same = hashlib.sha256(path.read_bytes()).hexdigest() == card["files"][0]["sha256"]
    if same or sorted_text_hash(table) == PUBLISHED_TEXT:
        return f"{len(table):,} lines, as published"
    return f"{len(table):,} lines as published in number, but not in content"


def sorted_text_hash(table: pd.DataFrame) -> str:
    """sha256 of the lines as CSV text without header, sorted by bytes and joined by line feeds."""
    plain = table[list(COLUMNS)].assign(
        Quantity=table["Quantity"].astype(np.int64),
        InvoiceDate=table["InvoiceDate"].dt.strftime("%Y-%m-%d %H:%M:%S"),
        CustomerID=table["CustomerID"].astype("Int64"),
    )
    text = plain.to_csv(index=False, header=False, lineterminator="\n").encode()
    return hashlib.sha256(b"\n".join(sorted(text.splitlines()))).hexdigest()


def cleaned(table: pd.DataFrame) -> pd.DataFrame:
    """Lines whose customer is known and whose quantity and price are above 0 (the usual cleaning; it drops returns)."""
    keep = table["CustomerID"].notna() & (table["Quantity"] > 0) & (table["UnitPrice"] > 0)
    return table[keep].reset_index(drop=True)


def products(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines of products, whose code begins with five digits; the others are postage, fees and manual entries."""
    return lines[lines["StockCode"].astype(str).str.match(r"\d{5}")].reset_index(drop=True)


def _refuse(path: Path, cells: pd.Series, wrong: pd.Series, what: str) -> None:
    """Say the first wrong cell by file, row and field, if there is one."""
    bad = np.flatnonzero(wrong)
    if len(bad):
        raise UserError(
            f"{path.name}, row {bad[0] + 1}: {cells.name} {cells.iloc[bad[0]]} {what}; mend the row."
        )
