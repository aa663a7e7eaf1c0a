"""One module's mutants, each under the tests that may kill it; what is done stays in cosmic-ray's work database."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkerOutcome, WorkItem, WorkResult

from . import making, operators
from .child import Child, Ended
from .copies import WORK, git, replace, sha_of, text_of
from .making import Mutant, mutants
from .reach import Reach
from .results import Result, Survivor
from .scope import source

LOOK_S = 0.02
UNSEEN = Ended(passed=True, late=False, test="", cpu_s=0.0)
"""Of a mutant whose line no test runs."""

Told = Callable[[int, int, int], None]
"""Hears how many mutants are done, how many there are, and how many of them survived."""


class Outcome(msgspec.Struct):
    """What the database keeps of a mutant beside the word."""

    late: bool
    by: str
    """The test that killed."""
    tests: int
    cpu_s: float


class Session:
    """The mutants of `module`, and which tests they meet."""

    def __init__(self, module: str, places: Sequence[Path], reached: Reach) -> None:
        self.module, self._places, self._reach = module, places, reached
        self.text = text_of(module, places[0])
        tool = [Path(part.__file__).read_text() for part in (making, operators)]
        self.hashes = sha_of(self.text), sha_of(reached.sha256(module), *tool)
        self._path = WORK / "sessions" / f"{module}.sqlite"
        self._state = self._path.with_suffix(".state")

    def run(self, told: Told, again: bool, survivors: bool) -> Result:
        """`again` forgets what was found; `survivors` takes for killed what was killed under earlier tests."""
        made = {sha_of(mutant.text)[:32]: mutant for mutant in mutants(self.text)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        state = list(self.hashes)
        kept = self._state.read_text().split() if self._state.exists() else []
        with use_db(self._path, WorkDB.Mode.create) as database:
            known = {} if again else {job: one for job, one in database.results if job in made}
            if survivors:
                known = {job: one for job, one in known.items() if one.is_killed}
            elif kept != state:
                known = {}
            database.clear()
            database.add_work_items(_item(job, self.module, mutant) for job, mutant in made.items())
            for job, one in known.items():
                database.set_result(job, one)
            self._state.write_text(" ".join(state))
            self._work(database, made, told)
            return self._result(dict(database.results), made)

    def _work(self, database: WorkDB, made: dict[str, Mutant], told: Told) -> None:
        free = list(self._places)
        waiting = [item.job_id for item in database.pending_work_items]
        done = len(made) - len(waiting)
        lived = sum(not result.is_killed for _, result in database.results)
        running: dict[str, tuple[Path, Child, int]] = {}
        with _ending(running, self.module, self.text):
            while waiting or running:
                while waiting and free:
                    job, place = waiting.pop(), free.pop()
                    tests = self._reach.tests(self.module, made[job].lines)
                    if not tests:
                        free.append(place)
                        database.set_result(job, _outcome(UNSEEN, 0))
                        done, lived = done + 1, lived + 1
                        continue
                    replace(place, self.module, made[job].text)
                    running[job] = place, Child(place, tests, self._reach.seconds), len(tests)
                time.sleep(LOOK_S)
                for job, (place, child, tests) in list(running.items()):
                    ended = child.look()
                    if ended is not None:
                        del running[job]
                        replace(place, self.module, self.text)
                        free.append(place)
                        database.set_result(job, _outcome(ended, tests))
                        done, lived = done + 1, lived + ended.passed
                        told(done, len(made), lived)

    def _result(self, results: dict[str, WorkResult], made: dict[str, Mutant]) -> Result:
        outcomes = {job: msgspec.json.decode(one.output, type=Outcome) for job, one in results.items()}
        lived = [job for job in sorted(results) if not results[job].is_killed]
        late = sum(one.late for one in outcomes.values())
        survivors = [_survivor(made[job], outcomes[job].tests) for job in lived]
        return Result(
            module=self.module,
            commit=git("rev-parse", "HEAD").strip(),
            source_sha256=self.hashes[0],
            tests_sha256=self.hashes[1],
            mutants=len(made),
            killed=len(made) - len(lived) - late,
            timed_out=late,
            cpu_s=round(sum(one.cpu_s for one in outcomes.values())),
            survivors=sorted(survivors, key=lambda one: one.line),
        )


@contextmanager
def _ending(running: dict[str, tuple[Path, Child, int]], module: str, text: str) -> Iterator[None]:
    """Whatever ends the work, no child goes on and no copy stays mutated."""
    try:
        yield
    finally:
        for place, child, _ in running.values():
            child.stop()
            replace(place, module, text)


def _item(job: str, module: str, mutant: Mutant) -> WorkItem:
    start, end = mutant.span
    path = Path(source(module))
    spec = MutationSpec(path, mutant.operator, mutant.occurrence, start, end, definition_name=mutant.function)
    return WorkItem.single(job, spec)


def _outcome(ended: Ended, tests: int) -> WorkResult:
    said = Outcome(ended.late, "" if ended.passed else ended.test, tests, ended.cpu_s)
    word = TestOutcome.SURVIVED if ended.passed else TestOutcome.KILLED
    return WorkResult(WorkerOutcome.NORMAL, msgspec.json.encode(said).decode(), word)


def _survivor(mutant: Mutant, tests: int) -> Survivor:
    return Survivor(
        operator=mutant.operator,
        function=mutant.function,
        line=mutant.span[0][0],
        before=mutant.before,
        after=mutant.after,
        tests=tests,
    )
