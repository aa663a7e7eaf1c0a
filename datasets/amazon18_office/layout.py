"""Which files of a folder are what, in MiniOneRec's layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from remeasure.errors import UserError

PUBLISHED = "Office_Products_5_2016-10-2018-11"
"""Begins the names of the published rows."""


@dataclass(frozen=True)
class Files:
    """The files of a folder; None where one that may be missing is."""

    item: Path
    """Titles and descriptions."""
    valid: Path
    test: Path
    index: Path | None
    """Semantic ids."""
    info: Path | None
    """SID, title and id of every item; only compared."""
    train: Path | None
    vectors: Path | None
    """Content vectors, float [items, d], in the order of `item`."""


def files_of(root: Path) -> Files:
    """The files by the ends of their names; raises UserError for one that is missing or there twice."""

    def one(end: str) -> Path | None:
        found = sorted(path for path in root.glob(f"*{end}") if path.is_file() and path.name[0] != ".")
        if len(found) > 1:
            raise UserError(
                f"{root} holds both {found[0].name} and {found[1].name}; keep one file that ends in {end}."
            )
        return found[0] if found else None

    def needed(end: str) -> Path:
        path = one(end)
        if path is None:
            raise UserError(
                f"{root} has no file *{end}; a folder needs *.item.json, *.valid.csv and *.test.csv."
            )
        return path

    return Files(
        item=needed(".item.json"),
        valid=needed(".valid.csv"),
        test=needed(".test.csv"),
        index=one(".index.json"),
        info=one(".info.txt"),
        train=one(".train.csv"),
        vectors=one(".npy"),
    )
