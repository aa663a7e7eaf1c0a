"""Where finished blocks are kept: one schema-checked JSON file each, written whole or not at all.

`results/runs/<system>/<case>/<key>.json`, `results/runs/logs/<key>.log`, `results/environments/<sha>.json`.
Only the process that started the blocks writes records; a block is finished exactly when its file exists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from ..errors import UserError
from .record import SCHEMA, Environment, Record, content_digest

T = TypeVar("T")


class _Version(msgspec.Struct):
    """The one field read before all others, so that a foreign version is called that."""

    schema: int


class _Cost(msgspec.Struct):
    wall_s: float
    started: str


class _Head(msgspec.Struct):
    """What planning wants to know of a record; reading it skips the samples."""

    schema: int
    profile: str
    status: str
    provenance: _Cost


class Store:
    """The records and environments under one results folder."""

    def __init__(self, root: Path = Path("results")) -> None:
        self.root = root
        self.runs = root / "runs"

    def prepare(self) -> None:
        """Make the folder of records; raises UserError where that cannot be, before an hour of measuring."""
        _make_folder(self.runs)

    def path(self, record: Record) -> Path:
        return self.runs / record.system / record.case / f"{record.key}.json"

    def log_path(self, key: str) -> Path:
        """The log of a block's worker; its folder is made."""
        folder = self.runs / "logs"
        _make_folder(folder)
        return folder / f"{key}.log"

    def write(self, record: Record) -> Path:
        """Put the record in its place, over an older one of the same key; sealed and checked before it is written."""
        encoded = msgspec.json.encode(msgspec.structs.replace(record, digest=content_digest(record)))
        try:
            msgspec.json.decode(encoded, type=Record)
        except msgspec.ValidationError as error:
            raise UserError(
                f"A record of {record.system}/{record.case} breaks the schema ({error})."
            ) from None
        path = self.path(record)
        write_whole(path, encoded)
        return path

    def has(self, key: str) -> bool:
        return self._find(key) is not None

    def read(self, key: str) -> Record:
        """The record of `key`. Raises KeyError if there is none, UserError if it cannot be used."""
        path = self._find(key)
        if path is None:
            raise KeyError(key)
        return _read_record(path)

    def usable(self, key: str) -> Record | None:
        """The record of `key`, or None where there is none or it cannot be used: it is then measured anew."""
        try:
            return self.read(key)
        except (KeyError, UserError):
            return None

    def read_all(
        self, profile: str | None = None, systems: Collection[str] | None = None, *, skip_bad: bool = False
    ) -> list[Record]:
        """Every record (of a profile, of some systems), failures included, sorted by key.

        Raises UserError that names every file that cannot be used; skip_bad: leaves them out instead.
        """
        records, bad = self._scan(systems)
        if bad and not skip_bad:
            raise UserError(" ".join(bad))
        chosen = (record for record in records if profile is None or record.profile == profile)
        return sorted(chosen, key=lambda record: record.key)

    def bad(self, systems: Collection[str] | None = None) -> list[str]:
        """A sentence for every file of these systems that cannot be used."""
        return self._scan(systems)[1]

    def _scan(self, systems: Collection[str] | None) -> tuple[list[Record], list[str]]:
        records, bad = list[Record](), list[str]()
        for path in sorted(self.runs.glob("*/*/*.json")):
            if systems is None or path.parent.parent.name in systems:
                try:
                    records.append(_read_record(path))
                except UserError as error:
                    bad.append(str(error))
        return records, bad

    def last_seconds(self, system: str, case: str, profile: str) -> float | None:
        """How long the latest finished block of a case took; one of the same profile, if there is one."""
        done = []
        for path in (self.runs / system / case).glob("*.json"):
            with suppress(UserError):
                head = _read(path, _Head)
                done += [head] if head.status == "ok" else []
        if not done:
            return None
        return max(
            done, key=lambda head: (head.profile == profile, head.provenance.started)
        ).provenance.wall_s

    def write_environment(self, sha: str, environment: Environment) -> None:
        """Keep the environment under its hash; the same hash is the same content, so it is written once."""
        path = self.root / "environments" / f"{sha}.json"
        if not path.exists():
            write_whole(path, msgspec.json.format(msgspec.json.encode(environment), indent=1))

    @property
    def environments(self) -> dict[str, Environment]:
        paths = sorted((self.root / "environments").glob("*.json"))
        return {path.stem: _decode(path, _bytes(path), Environment) for path in paths}

    def _find(self, key: str) -> Path | None:
        return next(self.runs.glob(f"*/*/{key}.json"), None)


def write_whole(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one step: a reader, or a kill at any moment, leaves old or new.

    Raises UserError where the disk is full or the folder cannot be written; nothing half-written stays.
    """
    _make_folder(path.parent)
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()
    _sweep(path.parent)


def _sweep(folder: Path) -> None:
    """Remove what writers left that were killed before they could rename."""
    for left in folder.glob(".*.tmp"):
        writer = re.search(r"\.(\d+)\.tmp$", left.name)
        if writer and not psutil.pid_exists(int(writer[1])):
            with suppress(OSError):
                left.unlink()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from None


def cannot_write(path: Path, error: OSError) -> UserError:
    """The sentence for a file or folder that the system would not take."""
    return UserError(
        f"{path} cannot be written ({error.strerror}); make room or make the folder writable, "
        "then run the same command again: what was finished is kept."
    )


def _read_record(path: Path) -> Record:
    record = _read(path, Record)
    if record.key != path.stem:
        raise _damaged(path, f"it holds the record {record.key}")
    if record.digest != content_digest(record):
        raise _damaged(
            path, "its digest does not agree with its content, so it was changed after it was written"
        )
    return record


def _read(path: Path, type_: type[T]) -> T:
    """A record, or a part of it, of this version of the schema."""
    content = _bytes(path)
    version = _decode(path, content, _Version).schema
    if version != SCHEMA:
        raise UserError(
            f"{path} was written with record schema {version}, and this remeasure reads schema {SCHEMA}; "
            "delete the file or run `remeasure clean`, then measure again."
        )
    return _decode(path, content, type_)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from None


def _decode(path: Path, content: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise _damaged(path, str(error)) from None


def _damaged(path: Path, why: str) -> UserError:
    return UserError(
        f"{path} is damaged ({why}); delete the file or run `remeasure clean`, then measure again."
    )
