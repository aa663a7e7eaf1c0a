"""What carries blocks: an executor gets jobs and gives them back finished, in whatever order they end.

`local` runs each in a process group of its own on this machine. A block is plain data and
`runner.run_block` a plain function, so another engine can carry them as well.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from ..messages import Budget, Finished, Job, Progress


class Executor(Protocol):
    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        """Run the jobs; none is begun once the budget has ended.

        Closing the generator ends what still runs.
        """
