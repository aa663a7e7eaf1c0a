"""A small folder in MiniOneRec's layout, and commands run on it."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

from remeasure.contracts import Workspace
from remeasure.datasets.amazon18_office.generator import simulate
from remeasure.datasets.amazon18_office.loader import load
from remeasure.datasets.amazon18_office.request import Request
from remeasure.impls.gr4ad.commands import COMMANDS

SHOP = Request(users=80, products=40)
TOKENS = {"sizes": "8,4,4", "dims": "8"}
MODEL = {
    "d": "8",
    "heads": "2",
    "layers": "2",
    "parallel": "1",
    "dropout": "0.1",
    "batch": "16",
    "history": "4",
}
WIDTHS = {"widths": "6,12,24"}


def folder(path: Path, request: Request = SHOP) -> Path:
    """Made-up products and rows as files, without SIDs."""
    items, *tables = simulate(request)
    path.mkdir()
    described = {
        item: {"title": text, "brand": items.accounts[account]}
        for item, text, account in zip(items.ids.tolist(), items.text, items.account, strict=True)
    }
    (path / "Shop.item.json").write_text(json.dumps(described))
    for name, table in zip(("valid", "test"), tables, strict=True):
        with (path / f"Shop.{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user_id", "history_item_id", "item_id"])
            writer.writerows(zip(table.user, table.history, table.target, strict=True))
    return path


def run(command: str, files: Path, out: Path, settings: Mapping[str, str] | None = None) -> list[str]:
    """Run a command; the lines that it reports."""
    out.mkdir(exist_ok=True)
    lines: list[str] = []
    space = Workspace(lambda name, request: load(request, files), out, settings or {}, lines.append)
    paths = next(each for each in COMMANDS if each.name == command).run(space)
    assert all(path.is_file() for path in paths)
    return lines
