"""What can be removed and made again: runs, logs of workers, caches. Releases and results/asv stay."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..errors import UserError

Kind = Literal["runs", "logs", "cache"]


@dataclass(frozen=True)
class Removable:
    """One line of `remeasure clean`."""

    kind: Kind
    what: str
    path: Path
    files: int
    bytes: int


def removables(results: Path, cache: Path, root: Path | None = None) -> list[Removable]:
    """Everything that may go, with sizes; nothing that is empty.

    results: the results folder; cache: the user cache; root: the checkout, for asv's environments.
    """
    runs = results / "runs"
    found = [
        _sized("runs", f"records of {folder.name}", folder)
        for folder in _folders(runs)
        if folder.name != "logs"
    ]
    found.append(_sized("runs", "environment records", results / "environments"))
    found.append(_sized("logs", "logs of workers", runs / "logs"))
    found += [_sized("cache", _named(folder, cache), folder) for folder in _cached(cache)]
    if root:
        found.append(_sized("cache", "asv environments", root / ".asv"))
    return [item for item in found if item.files]


def remove(items: Iterable[Removable]) -> None:
    """Remove the folders; raises UserError for what cannot be removed, after removing what can."""
    stuck: list[str] = []
    for item in items:
        shutil.rmtree(item.path, onerror=lambda _function, path, _error: stuck.append(str(path)))
    if stuck:
        more = f" and {len(stuck) - 1} more" if len(stuck) > 1 else ""
        raise UserError(f"{stuck[0]}{more} cannot be removed; make the folder writable and say it again.")


def _cached(cache: Path) -> list[Path]:
    """The folders of the cache, a data set each where they are downloads."""
    return [
        inner
        for folder in _folders(cache)
        for inner in (_folders(folder) if folder.name == "data" else [folder])
    ]


def _named(folder: Path, cache: Path) -> str:
    return f"cached {folder.relative_to(cache).as_posix()}"


def _folders(folder: Path) -> list[Path]:
    """Real folders only: removing must not follow a link out of the place it belongs to."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _sized(kind: Kind, what: str, path: Path) -> Removable:
    sizes = [file.lstat().st_size for file in path.rglob("*") if file.is_symlink() or file.is_file()]
    return Removable(kind, what, path, len(sizes), sum(sizes))
