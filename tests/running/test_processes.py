"""What a look at the machine's processes tells, and what is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from remeasure import processes
from remeasure.errors import UserError
from remeasure.processes import MARK, Process, descendants, end, end_left_behind, lives, name_of, process

pytestmark = pytest.mark.alone  # any other run on this machine would end what is left

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[subprocess.Popen[bytes]] = []

    def start(mark: str = "", *command: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, MARK: mark}
        begun.append(subprocess.Popen(command or ("sleep", "600"), env=environment))
        while mark and not list(processes.marked(mark)):
            time.sleep(0.01)  # until it has its own environment
        return begun[-1]

    yield start
    for one in begun:
        one.kill()
        one.wait()


def test_a_process_is_what_psutil_says_it_is() -> None:
    ours, theirs = process(os.getpid()), psutil.Process()
    assert ours
    assert (ours.pid, ours.name, ours.parent, ours.dead) == (theirs.pid, theirs.name(), theirs.ppid(), False)
    assert ours.resident_mb == pytest.approx(theirs.memory_info().rss / 2**20, rel=0.1)
    times = theirs.cpu_times()
    assert ours.cpu_s == pytest.approx(times.user + times.system, abs=1)
    assert ours.children_cpu_s == pytest.approx(times.children_user + times.children_system, abs=1)


def test_there_is_no_process_that_has_ended(start: Start) -> None:
    child = start("", "true")
    while (found := process(child.pid)) and not found.dead:
        time.sleep(0.01)
    assert found and found.dead  # nobody has asked how it ended
    assert descendants(os.getpid()) == [] or child.pid not in {one.pid for one in descendants(os.getpid())}
    child.wait()
    assert process(child.pid) is None


def test_a_name_with_brackets_and_blanks_is_read(start: Start) -> None:
    name = "a) b (c"
    child = start("", sys.executable, "-c", f"open('/proc/self/comm', 'w').write({name!r}); input()")
    for _ in range(1000):
        if (found := process(child.pid)) and found.name == name:
            break
        time.sleep(0.01)
    assert found and (found.name, found.parent) == (name, os.getpid())


def test_a_name_is_of_one_process_of_one_namespace(start: Start) -> None:
    ours = name_of(os.getpid())
    pid, started, namespace = ours.split(" ")
    assert lives(ours)
    assert not lives(f"{pid} {int(started) + 1} {namespace}")  # another one had the number before
    assert lives(f"{pid} {int(started) + 1} pid:[1]")  # not ours to judge
    child = start()
    theirs = name_of(child.pid)
    assert lives(theirs)
    child.kill()
    while (found := process(child.pid)) and not found.dead:
        time.sleep(0.01)
    assert not lives(theirs)  # a zombie watches nothing
    child.wait()
    assert not lives(theirs)


def gone(start: Start) -> str:
    child = start()
    name = name_of(child.pid)
    child.kill()
    child.wait()
    return name


def test_what_a_killed_supervisor_left_is_ended_and_named(start: Start) -> None:
    left = start(gone(start))
    assert end_left_behind() == f"Ended what a killed run had left running: sleep (process {left.pid})."
    assert left.wait() == -9
    assert end_left_behind() == ""


@pytest.mark.parametrize(
    "mark",
    ["of another tool", "1", "1 2", "x y z", "1 2 3 4", f"{2**22} 1 pid:[1]"],
    ids=lambda mark: mark[:9],
)
def test_a_mark_that_is_not_ours_is_left_alone(start: Start, mark: str) -> None:
    child = start("", "env", f"{MARK}={mark}", "sleep", "600")
    time.sleep(0.1)
    assert end_left_behind() == ""
    assert child.poll() is None


def test_what_a_living_supervisor_watches_is_left_alone(start: Start) -> None:
    child = start(name_of(os.getpid()))
    assert [one.pid for one in processes.marked(name_of(os.getpid()))] == [child.pid]
    assert end_left_behind() == ""
    assert child.poll() is None


def test_what_cannot_be_ended_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 0.05)
    stuck = Process(2**22 + 1, "stuck", 1, False, 0, 0.0, 0.0, 0.0)
    with pytest.raises(UserError, match=r"^stuck \(process 4194305\) cannot be ended.*same command again\.$"):
        end(lambda: [stuck])


def test_who_ends_others_does_not_end_itself() -> None:
    ourselves = process(os.getpid())
    assert ourselves
    assert end(lambda: [ourselves]) == []
