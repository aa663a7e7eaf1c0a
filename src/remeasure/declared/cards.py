"""Data cards: `dataset.toml` of a data set, read and refused where it is wrong."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from ..errors import UserError
from ..struct import Struct


class DataFile(Struct, frozen=True):
    """A file every copy of the data set must have."""

    path: str
    sha256: str
    bytes: int
    url: str


class OptionalFile(Struct, frozen=True):
    """A file that makes another variant of the data set where it is present."""

    path: str
    git_blob: str
    """First hex digits (at least 7) of the file's git blob hash."""
    url: str = ""


class OwnFiles(Struct, frozen=True):
    """Files of one's own that are laid out like the data set's, and the word by which they are given."""

    setting: str
    """`--set SETTING=DIR` measures the cases of such data sets on the files in DIR, and leaves other cases out."""
    files: str
    """Regular expression of the name of a file that such a folder holds."""
    layout: str
    """What such a folder holds, in words."""


class _Card(Struct, frozen=True):
    """The keys `dataset.toml` may have."""

    name: str
    title: str
    what: str
    canonical: str = ""
    repository: str = ""
    commit: str = ""
    licence: str = ""
    citation: tuple[str, ...] = ()
    notice: str = ""
    redistribute: bool = False
    files: tuple[DataFile, ...] = ()
    optional_files: tuple[OptionalFile, ...] = ()
    own: OwnFiles | None = None
    roles: dict[str, Any] = msgspec.field(default_factory=dict)


@dataclass(frozen=True)
class DataCard:
    """A data set as its folder declares it; without files it has only its simulator."""

    name: str
    folder: Path
    package: str
    """Dotted package that holds `loader`."""
    title: str
    what: str
    canonical: str
    """Where the publisher has it."""
    licence: str
    citation: tuple[str, ...]
    notice: str
    redistribute: bool
    files: tuple[DataFile, ...]
    optional_files: tuple[OptionalFile, ...]
    own: OwnFiles | None
    roles: dict[str, Any]


def read_card(folder: Path, package: str) -> DataCard:
    """The card of the data set in `folder`; a malformed `dataset.toml` is refused in one sentence."""
    path = folder / "dataset.toml"
    shown = f"{folder.name}/dataset.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{shown} cannot be read: {error}; mend the file.") from None
    try:
        card = msgspec.convert(raw, _Card)
    except msgspec.ValidationError as error:
        raise UserError(f"{shown}: {error}; see CONTRIBUTING.md for the keys a data card may have.") from None
    if problem := _problem(card, folder):
        raise UserError(f"{shown}: {problem}.")
    return DataCard(
        name=card.name,
        folder=folder,
        package=package,
        title=card.title,
        what=card.what,
        canonical=card.canonical,
        licence=card.licence,
        citation=card.citation,
        notice=card.notice,
        redistribute=card.redistribute,
        files=card.files,
        optional_files=card.optional_files,
        own=card.own,
        roles=card.roles,
    )


def _problem(card: _Card, folder: Path) -> str:
    if card.name != folder.name:
        return f"name is {card.name} but the folder is {folder.name}; make them equal"
    if card.files and not (card.canonical and card.licence and card.citation):
        return "a data set with files needs canonical, licence and citation"
    paths = [file.path for file in card.files] + [file.path for file in card.optional_files]
    if twice := next((path for path in paths if paths.count(path) > 1), None):
        return f"file {twice} stands twice"
    # A path is joined to the user's folders, so it must stay inside them.
    if outside := next((path for path in paths if not _inside(path)), None):
        return f"file {outside} must be a relative path inside the data set"
    for file in card.files:
        if not re.fullmatch(r"[0-9a-f]{64}", file.sha256):
            return f"sha256 of {file.path} must be 64 hex digits"
    for optional in card.optional_files:
        if not re.fullmatch(r"[0-9a-f]{7,40}", optional.git_blob):
            return f"git_blob of {optional.path} must be 7 to 40 hex digits"
    return _problem_of_own(card.own) if card.own else ""


def _problem_of_own(own: OwnFiles) -> str:
    if not own.setting.isidentifier() or own.setting == "data":
        return f"own.setting is {own.setting!r}; it must be a word, and not data, which means every data set"
    try:
        re.compile(own.files)
    except re.error as error:
        return f"own.files is no regular expression ({error})"
    return ""


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path
