"""Downloads of a data set from its publisher into the user cache; the folder is named when it is whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from ..declared.cards import DataCard, DataFile
from ..errors import UserError
from .copies import cached_root, verify
from .locks import locked

Progress = Callable[[str, int, int], None]
"""(file, bytes done of all files, bytes of all files)"""
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 60.0


def fetch(card: DataCard, *, connect_timeout: float | None = None, progress: Progress | None = None) -> Path:
    """Bring the card's files into the user cache and return their folder; what is there and right stays.

    connect_timeout: seconds (default $REMEASURE_CONNECT_TIMEOUT, else 5). Files come into a folder of another
    name, which is renamed when all of them are there, so a broken download is continued and never read.
    Raises UserError offline, for a wrong hash, and where the cache cannot be written.
    """
    if not card.files:
        raise UserError(f"data set {card.name} has no files to fetch; its simulator serves.")
    root = cached_root(card)
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with locked(root.with_name(f".{card.name}.lock")):
            if root.is_dir() and _is_right(card, root):
                return root
            partial = root.with_name(f".{card.name}.partial")
            if root.is_dir() and not partial.exists():
                root.rename(partial)
            _download(card, partial, _timeout(connect_timeout), progress)
            shutil.rmtree(root, ignore_errors=True)
            partial.rename(root)
    except OSError as error:
        raise UserError(
            f"the cache {root.parent} cannot be written ({error.strerror or error}); make room or make it "
            "writable, or set $REMEASURE_CACHE to another folder."
        ) from None
    return root


def _download(card: DataCard, folder: Path, timeout: float, progress: Progress | None) -> None:
    total, done = sum(file.bytes for file in card.files), 0
    for left in folder.rglob("tmp*"):
        # pooch's temporary name, left by a download that was killed; nothing will ever complete it.
        left.unlink()
    for file in card.files:
        _download_file(card, file, folder / file.path, timeout, _Bar(file, done, total, progress))
        done += file.bytes
        if progress:
            progress(file.path, done, total)


def _download_file(card: DataCard, file: DataFile, target: Path, timeout: float, bar: _Bar) -> None:
    # Here, not above: requests takes longer to import than most commands run.
    import pooch  # type: ignore[import-untyped]
    from requests.exceptions import ConnectionError, RequestException, Timeout

    pooch.get_logger().setLevel("ERROR")
    site = urlsplit(file.url).hostname or file.url
    hint = f"the simulator serves without it; or point $REMEASURE_DATA at a folder that holds {card.name}/."
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"sha256:{file.sha256}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(
                progressbar=bar, chunk_size=1 << 16, timeout=(timeout, READ_TIMEOUT_S)
            ),
        )
    except (ConnectionError, Timeout):
        raise UserError(f"data set {card.name}: {site} cannot be reached; {hint}") from None
    except RequestException as error:
        raise UserError(f"data set {card.name}: {file.path} cannot be fetched ({error}); {hint}") from None
    except ValueError:
        raise UserError(
            f"data set {card.name}: {file.path} from {site} does not have the sha256 of its card; it was not "
            "kept. Fetch again; if it stays so, the publisher changed the file."
        ) from None


class _Bar:
    """What pooch tells its progress bar, added up over all files of the data set."""

    def __init__(self, file: DataFile, before: int, total_of_all: int, progress: Progress | None) -> None:
        self.name, self.done, self.end = file.path, before, before + file.bytes
        self.total_of_all, self.progress = total_of_all, progress
        self.total = 0

    def update(self, received: int) -> None:
        # pooch counts whole chunks, so the last one overshoots.
        self.done = min(self.done + received, self.end)
        if self.progress:
            self.progress(self.name, self.done, self.total_of_all)

    def reset(self) -> None:
        """pooch ends by resetting and filling the bar; the files before have been counted already."""
        self.progress = None

    def close(self) -> None:
        """Nothing is open."""


def _is_right(card: DataCard, root: Path) -> bool:
    try:
        verify(card, root, remember=False)
    except UserError:
        return False
    return True


def _timeout(given: float | None) -> float:
    text = os.environ.get("REMEASURE_CONNECT_TIMEOUT", "")
    try:
        seconds = given if given is not None else float(text) if text else CONNECT_TIMEOUT_S
    except ValueError:
        seconds = -1.0
    if seconds <= 0:
        raise UserError(f"$REMEASURE_CONNECT_TIMEOUT is {text!r}, which is no number of seconds above 0.")
    return seconds
