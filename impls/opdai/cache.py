"""Scores that are slow to make, kept on disk by what they were made from; the CPU seconds they took beside them."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import platformdirs


@dataclass(frozen=True, eq=False)
class Made:
    """An array and what it cost when it was made."""

    values: np.ndarray
    cpu_s: float


def made(make: Callable[[], np.ndarray], *key: str, keep: bool = True) -> Made:
    """What `make` returns, from disk if the same key and the same code made it before.

    keep=False neither reads nor writes the disk: for measuring the cost. A damaged file is made again.
    """
    folder = cache_folder()
    path = folder / (hashlib.sha256("\n".join((_code(), *key)).encode()).hexdigest() + ".npz")
    if keep and path.exists():
        try:
            with np.load(path) as stored:
                return Made(stored["values"], float(stored["cpu_s"]))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            path.unlink(missing_ok=True)
    start = time.process_time()
    values = make()
    cpu_s = time.process_time() - start
    if keep:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp.npz")
        try:
            np.savez(temporary, values=values, cpu_s=cpu_s)
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)  # a full disk costs time later, not the result
    return Made(values, cpu_s)


def cache_folder() -> Path:
    """Where scores are kept; `remeasure clean` lists it with the other caches."""
    root = os.environ.get("REMEASURE_CACHE") or platformdirs.user_cache_dir("remeasure")
    return Path(root) / "opdai"


@cache
def _code() -> str:
    """Hash of the code that makes scores, so that a changed pre-ranker never meets an old score."""
    here = Path(__file__).parent
    files = [*sorted((here / "prerank").glob("*.py")), here / "corpus.py", here / "ranker.py"]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
