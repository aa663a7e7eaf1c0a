"""Reading new ads in a process of its own, so that the one that answers gives its time to answers (§5)."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen
from typing import IO, Any
from weakref import finalize

import numpy as np

from remeasure.datasets.common.interactions import Items
from remeasure.errors import UserError

from .intake import Reader


class ReadApart:
    """A `Reader` in another process, which ends with this object and with the process that made it.

    It is started anew and not forked, since a process with threads in it cannot be forked safely.
    """

    def __init__(self, reader: Reader) -> None:
        self._process = Popen([sys.executable, "-m", __name__], stdin=PIPE, stdout=PIPE)
        finalize(self, _end, self._process)
        with _alive():
            _send(self._process.stdin, reader)

    def read(self, ads: Items) -> tuple[np.ndarray, np.ndarray]:
        """As `Reader.read`; raises UserError where the other process has died."""
        with _alive():
            _send(self._process.stdin, ads)
            read: tuple[np.ndarray, np.ndarray] = pickle.load(self._process.stdout)  # type: ignore[arg-type]
        return read


@contextmanager
def _alive() -> Iterator[None]:
    try:
        yield
    except (EOFError, BrokenPipeError):
        raise UserError(
            "the process that reads new ads has died; see what it wrote, and begin again."
        ) from None


def _send(pipe: IO[bytes] | None, what: Any) -> None:
    assert pipe is not None
    pickle.dump(what, pipe)
    pipe.flush()


def _end(process: Popen[bytes]) -> None:
    """It ends when nobody can ask it any more."""
    with suppress(BrokenPipeError):
        process.communicate()


def _serve() -> None:
    """Answers what comes until nothing comes any more."""
    import torch

    torch.set_num_threads(1)
    with suppress(EOFError, BrokenPipeError):
        reader: Reader = pickle.load(sys.stdin.buffer)
        while True:
            _send(sys.stdout.buffer, reader.read(pickle.load(sys.stdin.buffer)))


if __name__ == "__main__":
    _serve()
