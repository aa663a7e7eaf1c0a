"""How a run goes on: bars on a terminal, one line a finished block elsewhere; both on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import console

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

    from ..running.blocks import Block, Planned
    from ..running.messages import Progress


class Estimate:
    """The seconds that remain, from how long each block took last time, or better, took just now."""

    def __init__(
        self, planned: Sequence[Planned], jobs: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.jobs, self.clock = jobs, clock
        self.open = {item.block.key: item for item in planned if not item.cached}
        self.begun: dict[str, float] = {}
        self.took: dict[str, list[float]] = {}

    def started(self, block: Block) -> None:
        self.begun[block.key] = self.clock()

    def finished(self, block: Block, seconds: float) -> None:
        self.open.pop(block.key, None)
        self.took.setdefault(f"{block.system}/{block.case}", []).append(seconds)

    def left(self) -> float | None:
        """None while some case has never run, here or before."""
        alone = beside = 0.0
        for item in self.open.values():
            expected = self._expected(item)
            if expected is None:
                return None
            if item.block.key in self.begun:
                expected = max(0.0, expected - (self.clock() - self.begun[item.block.key]))
            alone, beside = (alone + expected, beside) if item.timed else (alone, beside + expected)
        return alone + beside / max(1, min(self.jobs, len(self.open)))

    def _expected(self, item: Planned) -> float | None:
        took = self.took.get(f"{item.block.system}/{item.block.case}")
        return sum(took) / len(took) if took else item.last_seconds


class Lines:
    """One line a block, for logs."""

    def __init__(self, total: int) -> None:
        self.total, self.count = total, 0

    def started(self, block: Block) -> None:
        return None

    def turned(self, block: Block, done: int, total: int) -> None:
        return None

    def finished(self, block: Block, ok: bool, seconds: float) -> None:
        self.count += 1
        console.note(f"[{self.count}/{self.total}] {block.id}: {seconds:.1f} s{'' if ok else ', failed'}")

    def said(self, sentence: str) -> None:
        console.note(sentence)

    def added(self, planned: Sequence[Planned]) -> None:
        self.total += len(planned)


class Bars:
    """A bar for the run, and one for each block that is running."""

    def __init__(self, bars: RichProgress, estimate: Estimate, total: int) -> None:
        self.bars, self.estimate, self.failed, self.total = bars, estimate, 0, total
        self.run = bars.add_task("blocks", total=total, left=self._left())
        self.tasks: dict[str, TaskID] = {}

    def started(self, block: Block) -> None:
        self.estimate.started(block)
        self.tasks[block.key] = self.bars.add_task(block.id, total=None, left="")

    def turned(self, block: Block, done: int, total: int) -> None:
        self.bars.update(self.tasks[block.key], completed=done, total=total)
        self.bars.update(self.run, left=self._left())

    def finished(self, block: Block, ok: bool, seconds: float) -> None:
        self.estimate.finished(block, seconds)
        self.bars.remove_task(self.tasks.pop(block.key))
        self.failed += not ok
        if not ok:
            self.bars.console.print(f"{block.id} failed after {seconds:.1f} s", style="red")
        name = f"blocks ({self.failed} failed)" if self.failed else "blocks"
        self.bars.update(self.run, advance=1, left=self._left(), description=name)

    def said(self, sentence: str) -> None:
        self.bars.console.print(sentence)

    def added(self, planned: Sequence[Planned]) -> None:
        self.total += len(planned)
        self.estimate.open |= {item.block.key: item for item in planned}
        self.bars.update(self.run, total=self.total, left=self._left())

    def _left(self) -> str:
        left = self.estimate.left()
        return "" if left is None else f"about {duration(left)} left"


def quiet() -> bool:
    """Nobody watches standard error: only what is worth a line in a log is said."""
    return not sys.stderr.isatty()


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def shown(planned: Sequence[Planned], jobs: int) -> Iterator[Progress]:
    """What to tell how the run of `planned` goes on."""
    from rich.console import Console

    screen = Console(stderr=True)
    total = sum(not item.cached for item in planned)
    if not screen.is_terminal or not total:
        yield Lines(total)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=screen, transient=True) as bars:
        yield Bars(bars, Estimate(planned, jobs), total)
