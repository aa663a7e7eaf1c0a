"""Blocks on this machine: each with a supervisor of its own, within limits of time and memory.

Blocks that may stand beside others run several at a time; then those that must be alone, one by one, under
a lock that every run on the machine respects.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from io import DEFAULT_BUFFER_SIZE, BufferedWriter
from pathlib import Path

import msgspec

from ...data.locks import locked, timing_lock_path
from ...errors import UserError
from ...processes import descendants, end_left_behind, process
from ...records.record import Environment, Failure, Record
from ..messages import (
    SUPERVISOR,
    WORKER,
    Answer,
    Ask,
    Budget,
    Done,
    Failed,
    Finished,
    Here,
    Job,
    Progress,
    Turned,
    Usage,
)
from ..supervisor import NOT_STARTED

PINNED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}
"""Set before a worker starts: threads would make CPU time depend on what else runs."""
LOOK_S = 0.2
"""Seconds between two looks at a worker's time and memory."""
TAIL_BYTES = 4000
PATIENCE_S = 20.0
"""Seconds until a supervisor must have ended everything."""


class LocalExecutor:
    """Runs `jobs` blocks at a time (as many as this process may use cores, unless told otherwise)."""

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs or len(os.sched_getaffinity(0))

    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        _clear(progress)
        yield from _together([job for job in jobs if not job.alone], self.jobs, progress, budget)
        for job in jobs:
            if job.alone and not budget.ended:
                with locked(timing_lock_path(), lambda: progress.said(_BUSY)) as lock:
                    _clear(progress)  # of whoever held the lock before
                    yield from _together([job], 1, progress, budget, held=[lock])


_BUSY = (
    "Another run on this machine is timing; waiting until it is done, because two would disturb each other."
)


def _clear(progress: Progress) -> None:
    if sentence := end_left_behind():
        progress.said(sentence)


def _together(
    jobs: Sequence[Job], limit: int, progress: Progress, budget: Budget, held: Sequence[int] = ()
) -> Generator[Finished, None, None]:
    """Run jobs side by side, at most `limit` at a time; whatever ends this, nothing that they started outlives it.

    held: descriptors that stay open as long as anything runs.
    """
    waiting, running = deque(jobs), list[_Worker]()
    try:
        while True:
            while waiting and len(running) < limit and not budget.ended:
                job = waiting.popleft()
                if job.finished():
                    continue
                running.append(_Worker(job, budget.left(), held))
                progress.started(job.block)
            if not running:
                return
            select.select(running, [], [], LOOK_S)
            for worker in list(running):
                outcome = worker.look(progress)
                if outcome is not None:
                    worker.end()
                    running.remove(worker)
                    finished = worker.finished(outcome)
                    progress.finished(worker.job.block, isinstance(outcome, Record), finished.usage.wall_s)
                    yield finished
    finally:
        for worker in running:
            worker.end()


class _Worker:
    """A running worker with everything it started, under its supervisor."""

    def __init__(self, job: Job, budget_s: float | None, held: Sequence[int]) -> None:
        self.job = job
        self.environment: tuple[str, Environment] | None = None
        self._received = bytearray()
        self._peak_mb = self._cpu_s = self._looked = 0.0
        self._load_before = os.getloadavg()[0]
        self._started, self._start = datetime.now(UTC), time.monotonic()
        self._answers, answers = os.pipe()
        os.set_blocking(self._answers, False)
        try:
            self._process = self._supervised(answers, held)
        except BaseException:
            os.close(self._answers)
            raise
        finally:
            os.close(answers)
        assert self._process.stdin
        with suppress(BrokenPipeError), self._process.stdin as question:  # it died at once; `look` will tell
            question.write(msgspec.json.encode(Ask(job.block, budget_s)) + b"\n")

    def _supervised(self, answers: int, held: Sequence[int]) -> subprocess.Popen[bytes]:
        python = [sys.executable, "-u", "-P", "-m"]
        supervise = [*python, SUPERVISOR, *map(str, [os.getpid(), *held]), "--"]
        with _open_log(self.job.log) as log:
            try:
                return subprocess.Popen(
                    [*supervise, *python, WORKER, str(answers)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **PINNED, "PYTHONPATH": os.pathsep.join(_import_path())},
                    pass_fds=[answers, *held],
                    start_new_session=True,
                )
            except OSError as error:
                raise UserError(
                    f"No process can be started for a block ({error.strerror}); end some others or run fewer at a "
                    "time with --jobs 1, then run the same command again: what was finished is kept."
                ) from None

    def fileno(self) -> int:
        """For select: readable when there is an answer, or never will be."""
        return self._answers

    def look(self, progress: Progress) -> Record | Failure | None:
        """What it says, or why it had to be given up; None while it runs."""
        dead = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        for message in self._messages():
            match message:
                case Here(sha, environment):
                    self.environment = (sha, environment)
                case Turned(done, total):
                    progress.turned(self.job.block, done, total)
                case Done(record):
                    return record
                case Failed(failure):
                    return failure
        if dead:
            return self._died(dead)
        seconds = time.monotonic() - self._start
        if seconds >= self.job.timeout_s:
            return self._given_up("timeout", f"It took longer than its limit of {self.job.timeout_s:g} s.")
        if seconds - self._looked >= LOOK_S:
            self._looked = seconds
            resident_mb = self._use()
            if resident_mb > self.job.memory_mb:
                return self._given_up(
                    "memory", f"It took {resident_mb:.0f} MB, over its limit of {self.job.memory_mb:g} MB."
                )
        return None

    def end(self) -> None:
        """Have the supervisor end everything; where it cannot, or was killed, do so without it."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._answers)
        end_left_behind()

    def finished(self, outcome: Record | Failure) -> Finished:
        if isinstance(outcome, Record):
            self._cpu_s = max(self._cpu_s, outcome.provenance.cpu_s)
            self._peak_mb = max(self._peak_mb, outcome.provenance.peak_rss_mb)
        elif not outcome.log_tail:
            outcome = msgspec.structs.replace(outcome, log_tail=_tail(self.job.log))
        usage = Usage(
            started=self._started.isoformat(timespec="seconds"),
            wall_s=time.monotonic() - self._start,
            cpu_s=self._cpu_s,
            peak_rss_mb=self._peak_mb,
            load_before=self._load_before,
            load_after=os.getloadavg()[0],
        )
        return Finished(self.job, outcome, self.environment, usage)

    def _messages(self) -> list[Answer]:
        """The answers that have arrived whole; one that was cut off by a kill never is."""
        with suppress(BlockingIOError):
            while chunk := os.read(self._answers, DEFAULT_BUFFER_SIZE):
                self._received += chunk
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        return [msgspec.json.decode(line, type=Answer) for line in lines]

    def _use(self) -> float:
        """Megabytes resident now, over all that the block started; keeps the peak and the CPU seconds."""
        supervisor = process(self._process.pid)
        members = descendants(self._process.pid)
        resident = sum(member.resident_mb for member in members)
        cpu_s = sum(member.cpu_s + member.children_cpu_s for member in members)
        cpu_s += supervisor.children_cpu_s if supervisor else 0.0
        self._peak_mb, self._cpu_s = max(self._peak_mb, resident), max(self._cpu_s, cpu_s)
        return resident

    def _given_up(self, kind: str, sentence: str) -> Failure:
        return msgspec.convert({"kind": kind, "message": sentence}, Failure)

    def _died(self, how: os.waitid_result) -> Failure:
        if how.si_code == os.CLD_EXITED and how.si_status == NOT_STARTED:
            raise UserError(_tail(self.job.log).strip())
        if how.si_code == os.CLD_EXITED:
            return self._given_up(
                "error", f"Its process ended with code {how.si_status} before it gave a result."
            )
        name = signal.Signals(how.si_status).name
        return self._given_up("killed", f"Its process was ended from outside by {name}; was memory short?")


def _import_path() -> list[str]:
    """Where this process looks for modules, so that a worker runs the same code."""
    return [os.path.abspath(entry) for entry in sys.path]


def _open_log(path: Path) -> BufferedWriter:
    try:
        return path.open("wb")
    except OSError as error:
        raise UserError(
            f"The log {path} cannot be written ({error.strerror}); make the folder writable."
        ) from None


def _tail(log: Path) -> str:
    try:
        return log.read_bytes()[-TAIL_BYTES:].decode(errors="replace")
    except OSError:
        return ""
