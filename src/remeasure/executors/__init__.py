"""What carries blocks: an executor gets jobs and gives them back finished, in whatever order they end.

`local` runs each in a process group of its own on this machine. A block is plain data and
`runner.run_block` a plain function, so another engine can carry them as well.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ..records import Environment, Failure, Record

if TYPE_CHECKING:
    from ..runner import Block


@dataclass(frozen=True)
class Job:
    """A block and the limits it runs within."""

    block: Block
    timeout_s: float
    memory_mb: float
    alone: bool
    """No other block may run beside it."""
    log: Path
    """Where its worker's output goes."""


@dataclass(frozen=True)
class Usage:
    """What a job cost, over all processes it started."""

    started: str
    """UTC, ISO 8601."""
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    load_before: float
    load_after: float


@dataclass(frozen=True)
class Finished:
    """A job that ended: with a record, or with a failure."""

    job: Job
    outcome: Record | Failure
    environment: tuple[str, Environment] | None
    """Where it ran, with its hash; None where the worker ended before it could tell."""
    usage: Usage


class Progress(Protocol):
    """Who is told how a run goes on; a progress bar, or nobody."""

    def started(self, block: Block) -> None: ...

    def turned(self, block: Block, done: int, total: int) -> None:
        """`done` of the `total` turns of the block's arms are over, warm-up included."""

    def finished(self, block: Block, ok: bool, seconds: float) -> None: ...

    def waiting(self, sentence: str) -> None:
        """Nothing goes on, for the reason given."""


class Silent:
    """Nobody is told."""

    def started(self, block: Block) -> None:
        return None

    def turned(self, block: Block, done: int, total: int) -> None:
        return None

    def finished(self, block: Block, ok: bool, seconds: float) -> None:
        return None

    def waiting(self, sentence: str) -> None:
        return None


class Budget:
    """Seconds a run may take; None is as long as it takes."""

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds

    def left(self) -> float | None:
        """Seconds that remain, never negative; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def ended(self) -> bool:
        return self.left() == 0.0


class Executor(Protocol):
    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        """Run the jobs; none is begun once the budget has ended.

        Closing the generator ends what still runs.
        """
