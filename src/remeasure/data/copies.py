"""Copies of a data set's files: where they are, and whether they are what the data card says."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from ..declared.cards import DataCard
from ..errors import UserError
from .hashes import Hashes, content_hash


@dataclass(frozen=True)
class Verified:
    """A folder whose files all have the hashes of the card."""

    sha256: str
    optional: tuple[str, ...]
    """Optional files that are there."""
    extra: tuple[str, ...]
    """Files that the card does not know; they make the folder an unverified variant."""

    @property
    def note(self) -> str:
        parts = [f"with optional {', '.join(self.optional)}"] if self.optional else []
        parts += (
            [f"with {len(self.extra)} files unknown to its card ({self.extra[0]}, …)"] if self.extra else []
        )
        return "; ".join(parts)


def locate(card: DataCard) -> tuple[Path, Literal["REMEASURE_DATA", "cache"]] | None:
    """Where real files of the data set are, or None; they are not looked at."""
    if not card.files:
        return None
    if mirror := os.environ.get("REMEASURE_DATA", ""):
        # Absolute: a worker need not run in the folder that the command was given in.
        folder = Path(mirror).expanduser().absolute()
        if not folder.is_dir():
            raise UserError(f"$REMEASURE_DATA is {mirror}, which is no folder; correct it or unset it.")
        if (folder / card.name).is_dir():
            return folder / card.name, "REMEASURE_DATA"
    return (cached_root(card), "cache") if cached_root(card).is_dir() else None


def verify(card: DataCard, root: Path, *, remember: bool = True) -> Verified:
    """Check every file below `root` against the card; raises UserError naming the first that is wrong.

    remember: believe a hash computed before for the same size, times of change and inode.
    """
    hashes = Hashes(cache_dir() / "hashes", root, remember)
    present = {name: path for name, path in visible_files(root) if not _beside(name)}
    missing = [file.path for file in card.files if file.path not in present]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise UserError(
            f"data set {card.name}: {missing[0]}{more} is missing in {root}; complete the folder, or take it "
            f"away and run `remeasure dataset fetch {card.name}`."
        )
    for file in card.files:
        path = present[file.path]
        if hashes.size(path) != file.bytes or hashes.sha256(path) != file.sha256:
            raise _wrong(card, root, file.path, "sha256")
    optional = [file for file in card.optional_files if file.path in present]
    for extra in optional:
        if not hashes.git_blob(present[extra.path]).startswith(extra.git_blob):
            raise _wrong(card, root, extra.path, "git blob hash")
    known = {file.path for file in card.files} | {file.path for file in optional}
    total = content_hash((name, hashes.sha256(path)) for name, path in present.items())
    hashes.save()
    return Verified(total, tuple(file.path for file in optional), tuple(sorted(set(present) - known)))


def cache_dir() -> Path:
    """Where downloads and remembered hashes live: $REMEASURE_CACHE or the user's cache folder."""
    if named := os.environ.get("REMEASURE_CACHE"):
        return Path(named)
    try:
        return platformdirs.user_cache_path("remeasure")
    except RuntimeError:
        raise UserError(
            "no home folder is known for this user; set REMEASURE_CACHE to a folder for caches."
        ) from None


def cached_root(card: DataCard) -> Path:
    """The folder of a fetched data set; it exists only when it is complete."""
    return cache_dir() / "data" / card.name


def visible_files(root: Path) -> list[tuple[str, Path]]:
    """Visible files below `root` with their relative names, sorted."""
    names = ((path.relative_to(root), path) for path in root.rglob("*") if path.is_file())
    return sorted((name.as_posix(), path) for name, path in names if not any(p[0] == "." for p in name.parts))


def _beside(name: str) -> bool:
    """Files that lie beside data in any mirror and that no loader reads."""
    stem = name.rsplit("/", 1)[-1].split(".")[0].upper()
    return stem in ("README", "LICENSE", "LICENCE", "NOTICE", "MANIFEST")


def _wrong(card: DataCard, root: Path, name: str, what: str) -> UserError:
    return UserError(
        f"data set {card.name}: {name} in {root} does not have the {what} of its card, so it is refused; "
        f"replace the file, or take the folder away and run `remeasure dataset fetch {card.name}`."
    )
