"""Advisory file locks: one timing block at a time on the whole machine, whoever started it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import UserError
from .copies import cache_dir


def timing_lock_path() -> Path:
    """Where every run of this user finds the same lock."""
    return cache_dir() / "timing.lock"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold `path` exclusively; `waiting` is called once if somebody else holds it first.

    The kernel lets go of the lock when its holder dies, however it dies; a stale file is harmless.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(
            f"The lock {path.name} cannot be made in {path.parent} ({error.strerror}); "
            "make the folder writable or set REMEASURE_CACHE to one that is."
        ) from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting:
                waiting()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
