"""Blocks on this machine: what their workers run with, what is seen of them from outside, and what stays behind."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from running.toy_blocks import Log, faulty, planned

from remeasure.errors import UserError
from remeasure.processes import Process
from remeasure.records.record import Failure, Record
from remeasure.records.store import Store
from remeasure.running.executors import local
from remeasure.running.executors.local import LocalExecutor
from remeasure.running.runner import run, run_block

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("toys")]


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], Path]:
    """Has another module be the worker; returns where it lies."""

    def use(source: str) -> Path:
        path = tmp_path / "instead.py"
        path.write_text(source)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(local, "WORKER", "instead")
        return path

    return use


TELLING = """
import json, os, sys
from pathlib import Path
from remeasure.running import worker
told = {"environment": dict(os.environ), "random hashes": sys.flags.hash_randomization, "session": os.getsid(0)}
Path(__file__).with_suffix(".json").write_text(json.dumps(told))
worker.main()
"""


@pytest.mark.parametrize("theirs", [None, "7"])
def test_a_worker_has_one_thread_and_the_same_hashes_whatever_its_parent_has(
    store: Store, monkeypatch: pytest.MonkeyPatch, worker: Callable[[str], Path], theirs: str | None
) -> None:
    ours = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    for name in ours:
        monkeypatch.setenv(name, theirs) if theirs else monkeypatch.delenv(name, raising=False)
    path = worker(TELLING)
    outcome = run(planned(store, cases=["prediction"], seeds=[1]), store, LocalExecutor(1))
    assert len(outcome.done) == 1
    told = json.loads(path.with_suffix(".json").read_text())
    assert {name: told["environment"].get(name) for name in ours} == ours
    assert not told["random hashes"]
    assert told["session"] != os.getsid(0), "Ctrl-C would end it before the run can say what is finished"


def failed(store: Store) -> tuple[str, str, str]:
    """Kind, message and end of the log of a block that fails."""
    items = planned(store, cases=["prediction"], seeds=[1])
    run(items, store, LocalExecutor(1))
    failure = store.read(items[0].block.key).failure
    assert failure
    return failure.kind, failure.message, failure.log_tail


def test_the_last_four_thousand_bytes_of_a_log_are_kept(store: Store, worker: Callable[[str], Path]) -> None:
    worker(r"import os, sys; os.write(1, b'a' * 5000 + b'\xff' + b'c' * 3998); sys.exit(3)")
    kind, message, tail = failed(store)
    assert (kind, message) == ("error", "Its process ended with code 3 before it gave a result.")
    assert tail == "a\N{REPLACEMENT CHARACTER}" + "c" * 3998


def test_a_log_that_is_gone_has_no_end(store: Store, worker: Callable[[str], Path]) -> None:
    worker("import os, sys; print('x'); os.unlink(os.readlink('/proc/self/fd/1')); sys.exit(3)")
    assert failed(store)[2] == ""


def test_a_worker_that_is_killed_is_a_failure_that_says_by_what(
    store: Store, worker: Callable[[str], Path]
) -> None:
    worker("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert failed(store)[:2] == (
        "killed",
        "Its process was ended from outside by SIGKILL; was memory short?",
    )


def test_a_log_that_cannot_be_written_is_refused_in_one_sentence(store: Store) -> None:
    items = planned(store, cases=["prediction"], seeds=[1])
    log = store.log_path(items[0].block.key)
    log.mkdir()
    said = re.escape(f"The log {log} cannot be written (Is a directory); make the folder writable.")
    with pytest.raises(UserError, match=f"^{said}$"):
        run(items, store, LocalExecutor(1))


def test_as_many_blocks_run_at_a_time_as_there_are_cores_for_this_process_or_as_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", {0: {1, 4, 5, 7, 8}}.__getitem__)
    assert LocalExecutor().jobs == 5
    assert LocalExecutor(3).jobs == 3


@pytest.mark.parametrize("jobs", [1, 2])
def test_as_many_blocks_run_side_by_side_as_is_said_and_no_more(store: Store, jobs: int) -> None:
    log = Log()
    run(planned(store, cases=["prediction"]), store, LocalExecutor(jobs), progress=log)
    running = list(accumulate({"started": 1, "finished": -1}[what] for what, _ in log.events))
    assert running[:jobs] == list(range(1, jobs + 1))
    assert (max(running), len(running), running[-1]) == (jobs, 6, 0)


def test_what_another_run_finished_is_passed_over_and_the_next_block_begins(store: Store) -> None:
    items = planned(store, cases=["prediction"], seeds=[1, 2])
    store.write(run_block(items[0].block))
    outcome = run(items, store, LocalExecutor(1))
    assert (outcome.cached, outcome.done) == ((items[0].block,), (items[1].block,))


def open_files() -> int:
    gc.collect()  # what others forgot to close
    return len(os.listdir("/proc/self/fd"))


def test_a_run_leaves_no_process_and_no_open_file(store: Store) -> None:
    files, children = open_files(), psutil.Process().children()
    run(planned(store, cases=["prediction"], seeds=[1, 2]), store, LocalExecutor(2))
    assert open_files() == files
    assert psutil.Process().children() == children


def test_a_block_that_is_given_up_is_asked_to_end_and_does(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    kill = subprocess.Popen.kill
    monkeypatch.setattr(subprocess.Popen, "kill", lambda self: killed.append(self.pid) or kill(self))
    children = psutil.Process().children()
    run([faulty(store, "hang", timeout_s=0.5)], store, LocalExecutor(1))
    assert killed == []
    assert psutil.Process().children() == children


def test_what_a_killed_run_left_is_ended_before_anything_starts_and_when_the_lock_is_had(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = iter(["Ended one.", "Ended another.", ""])
    monkeypatch.setattr(local, "end_left_behind", left.__next__)
    log = Log()
    items = planned(store, cases=["loop-time"], seeds=[1], overrides={"steps": "100"})
    run(items, store, LocalExecutor(1), progress=log)
    assert [name if what == "said" else what for what, name in log.events] == [
        "Ended one.",
        "Ended another.",
        "started",
        "finished",
    ]
    assert list(left) == [], "and when the block had ended"


def using(cpu_s: float, children_cpu_s: float, resident_mb: float) -> Process:
    return Process(2**22 + 1, "made", 1, False, 0, cpu_s, children_cpu_s, resident_mb)


class Seen:
    """What looks at a block show, one after the other, on a clock that goes on half a second with each look at it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *looks: Sequence[Process]) -> None:
        self.now = 1000.0
        self._looks = iter(looks)
        self._last = looks[-1]
        monkeypatch.setattr(local, "time", SimpleNamespace(monotonic=self._monotonic))
        monkeypatch.setattr(local, "descendants", lambda pid: next(self._looks, self._last))
        monkeypatch.setattr(os, "getloadavg", lambda: (0.25, 5.0, 15.0))

    def supervisor(self, monkeypatch: pytest.MonkeyPatch, found: Process | None) -> Seen:
        monkeypatch.setattr(local, "process", lambda pid: found)
        return self

    def _monotonic(self) -> float:
        self.now += 0.5
        return self.now

    def run(self, store: Store, fault: str, **limits: float) -> Record:
        item = faulty(store, fault, **limits)
        run([item], store, LocalExecutor(1))
        return store.read(item.block.key)


def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits between two looks, so that they come before the block can say anything."""
    monkeypatch.setattr(local, "select", SimpleNamespace(select=lambda *_: None))


HOUR = 3600.0 * 10**6


@pytest.mark.parametrize(
    ("supervisor", "looks", "cpu_s", "peak_mb"),
    [
        (
            using(1e6, 10_000.0, 1e6),
            [[using(1.0, 10.0, 100.0), using(100.0, 1000.0, 200.0)], []],
            11111.0,
            300.0,
        ),
        (using(1e6, 10_000.0, 1e6), [[], [using(1.0, 2.0, 3.0)]], 10003.0, 3.0),
        (None, [[using(1.0, 10.0, 100.0)]], 11.0, 100.0),
        (None, [[]], 0.0, 0.0),
    ],
)
def test_a_block_costs_what_all_its_processes_took_at_the_look_at_which_it_was_most(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    supervisor: Process | None,
    looks: list[list[Process]],
    cpu_s: float,
    peak_mb: float,
) -> None:
    monkeypatch.setattr(local, "LOOK_S", 0.05)
    seen = Seen(monkeypatch, *looks).supervisor(monkeypatch, supervisor)
    found = seen.run(store, "raise", timeout_s=HOUR).provenance
    assert (found.cpu_s, found.peak_rss_mb) == (cpu_s, peak_mb)
    assert (found.load_before, found.load_after) == (0.25, 0.25)
    assert found.wall_s == seen.now - 1000.5


def test_what_a_worker_says_that_it_took_counts_where_it_is_more_than_was_seen(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    Seen(monkeypatch, []).supervisor(monkeypatch, None)
    items = [replace(item, timeout_s=HOUR) for item in planned(store, cases=["prediction"], seeds=[1])]
    run(items, store, LocalExecutor(1))
    found = store.read(items[0].block.key).provenance
    assert found.cpu_s > 0 and found.peak_rss_mb > 0
    Seen(monkeypatch, [using(1e6, 0.0, 1000.0)])
    items = [replace(item, timeout_s=HOUR) for item in planned(store, cases=["prediction"], seeds=[2])]
    run(items, store, LocalExecutor(1))
    found = store.read(items[0].block.key).provenance
    assert (found.cpu_s, found.peak_rss_mb) == (1e6, 1000.0)


def given_up(record: Record) -> tuple[Failure | None, float]:
    return record.failure, record.provenance.wall_s


def test_a_block_is_given_up_at_the_look_at_which_it_has_taken_as_long_as_it_may(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once(monkeypatch)
    seen = Seen(monkeypatch, []).supervisor(monkeypatch, None)
    failure, wall_s = given_up(seen.run(store, "hang", timeout_s=1.5))
    assert failure and failure.message == "It took longer than its limit of 1.5 s."
    assert (failure.kind, wall_s) == ("timeout", 2.0)


@pytest.mark.parametrize(("look_s", "second_look_s"), [(0.5, 1.0), (0.75, 2.0)])
def test_memory_is_looked_at_so_often_and_may_reach_its_limit(
    store: Store, monkeypatch: pytest.MonkeyPatch, look_s: float, second_look_s: float
) -> None:
    at_once(monkeypatch)
    monkeypatch.setattr(local, "LOOK_S", look_s)
    seen = Seen(monkeypatch, [using(0, 0, 300.0)], [using(0, 0, 301.0)]).supervisor(monkeypatch, None)
    failure, wall_s = given_up(seen.run(store, "hang", timeout_s=HOUR, memory_mb=300.0))
    assert failure and failure.message == "It took 301 MB, over its limit of 300 MB."
    assert (failure.kind, wall_s) == ("memory", second_look_s + 0.5)
