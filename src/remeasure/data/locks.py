"""Advisory file locks: one timing block at a time on the whole machine, whoever started it."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import UserError
from ..processes import is_name, lives, name_of
from .copies import cache_dir

LOOK_S = 0.05
"""Seconds between two looks whether the lock is free."""
PATIENCE_S = 10.0
"""Seconds until a lock whose holder is gone must be free: its supervisor may still be ending what it watched."""
_ELSEWHERE = "make the folder writable or set REMEASURE_CACHE to one that is"


def timing_lock_path() -> Path:
    """Where every run of this user finds the same lock."""
    return cache_dir() / "timing.lock"


@contextmanager
def locked(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[int]:
    """Hold `path` exclusively; `waiting` is called once if somebody else holds it first.

    Gives the descriptor: whoever inherits it holds the lock too. The kernel lets go of it when the last of them ends,
    however it ends, so a stale file is harmless. Raises UserError where it cannot be had: no such folder, no locks
    on its file system, or what holds it is left from a process that is gone.
    """
    handle = _opened(path)
    try:
        _take(handle, path, waiting)
        _sign(handle)
        yield handle
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise UserError(
            f"The lock {path.name} cannot be made in {path.parent} ({error.strerror}); {_ELSEWHERE}."
        ) from None


def _take(handle: int, path: Path, waiting: Callable[[], None] | None) -> None:
    alone_since: float | None = None
    while not _taken(handle, path):
        if waiting:
            waiting()
            waiting = None
        if not _holder_is_gone(handle):
            alone_since = None
        elif alone_since is None:
            alone_since = time.monotonic()
        elif time.monotonic() - alone_since > PATIENCE_S:
            raise UserError(
                f"The lock {path} is still held, though the process that took it is gone; `fuser {path}` names what "
                "holds it. End that, then run the same command again."
            )
        time.sleep(LOOK_S)


def _taken(handle: int, path: Path) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise UserError(
            f"{path} cannot be locked ({error.strerror}): its file system has no locks; "
            "set REMEASURE_CACHE to a folder on another."
        ) from None
    return True


def _sign(handle: int) -> None:
    """Write down who holds the lock. It is held all the same where a full disk does not take the name."""
    with suppress(OSError):
        os.ftruncate(handle, 0)
        os.pwrite(handle, name_of(os.getpid()).encode(), 0)


def _holder_is_gone(handle: int) -> bool:
    name = os.pread(handle, 200, 0).decode(errors="replace")
    return is_name(name) and not lives(name)
