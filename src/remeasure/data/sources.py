"""Which copy of data serves: a user's own folder, the mirror in $REMEASURE_DATA, the cache, the simulator.

Files of a mirror or of the cache are checked against the hashes of the data card before anything is read.
A file set is a variant of its own: its hash is over exactly the files there, so variants are never mixed.
"""

from __future__ import annotations

import hashlib
import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..contracts import Case
from ..declared.cards import DataCard
from ..declared.registry import registry
from ..errors import UserError
from ..records.provenance import code_files, plain, sha_of
from ..records.record import DataRecord
from .copies import Verified, cache_dir, cached_root, locate, verify, visible_files
from .fetch import fetch
from .hashes import Hashes, content_hash

__all__ = [
    "DataSource",
    "Verified",
    "cache_dir",
    "cached_root",
    "fetch",
    "locate",
    "open_data",
    "resolve",
    "simulator",
    "verify",
]


@dataclass(frozen=True)
class DataSource:
    """The copy of a data set that serves."""

    name: str
    root: Path | None
    """Folder of the files; None is the simulator."""
    kind: Literal["real", "simulated"]
    origin: Literal["REMEASURE_DATA", "cache", "directory", "simulator"]
    sha256: str
    """Over the exact file set; of a simulator over its code (its request is added in the record)."""
    verified: bool
    """The hashes agree with the data card."""
    note: str = ""
    """What makes this another variant than the card's, e.g. optional files."""


def resolve(card: DataCard, directory: Path | None = None) -> DataSource:
    """The source of a data set, by the order in the module's docstring; nothing is downloaded.

    Raises UserError for a folder that does not exist, a missing file and a wrong hash.
    """
    if directory is not None:
        return _own(card, directory)
    found = locate(card)
    if found is None:
        return simulator(card)
    root, origin = found
    checked = verify(card, root)
    return DataSource(card.name, root, "real", origin, checked.sha256, not checked.extra, checked.note)


def source_of(case: Case, card: DataCard, directory: Path | None = None) -> DataSource:
    """Where a case's data come from: the simulator if it always asks for that, else what `resolve` finds."""
    return simulator(card) if case.simulated else resolve(card, directory)


def simulator(card: DataCard) -> DataSource:
    """The declared simulator, whatever real files there are."""
    code = content_hash(
        (path.relative_to(card.folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in code_files(card.folder)
    )
    return DataSource(card.name, None, "simulated", "simulator", code, verified=True)


def open_data(case: Case, source: DataSource) -> tuple[Any, DataRecord]:
    """Load what the case requests, and the record of what it is."""
    card = registry().dataset(case.dataset)
    data = importlib.import_module(f"{card.package}.loader").load(case.request, source.root)
    if source.root is None and not data.simulated:
        raise UserError(f"data set {card.name}: its simulator calls its data real; correct its loader.")
    # Simulated data are made by code and request together; real ones are what the files hold.
    sha256 = source.sha256 if source.root else sha_of([source.sha256, plain(case.request)])
    record = DataRecord(
        name=card.name,
        # A loader that fills gaps of a real copy with simulated rows says so; then all counts as simulated.
        kind="simulated" if data.simulated else "real",
        origin=source.origin,
        sha256=sha256,
        label=f"{data.label} ({source.note})" if source.note else data.label,
        verified=source.verified,
    )
    return data, record


def _own(card: DataCard, directory: Path) -> DataSource:
    """A user's own folder: any files, no hashes to compare with, which is said even where names are the published."""
    directory = directory.expanduser().absolute()
    if not directory.is_dir():
        raise UserError(
            f"the data folder {directory} does not exist; give one that holds {card.name}'s files."
        )
    files = visible_files(directory)
    if not files:
        raise UserError(f"the data folder {directory} is empty; give one that holds {card.name}'s files.")
    hashes = Hashes(cache_dir() / "hashes", directory, remember=True)
    total = content_hash((name, hashes.sha256(path)) for name, path in files)
    hashes.save()
    return DataSource(card.name, directory, "real", "directory", total, verified=False, note="your own files")
