"""Nothing that a block starts outlives it, whoever of run, supervisor and worker is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest
from end_to_end.killed_runs import Runs, all_gone, ended, supervisors, when

from remeasure.processes import process

pytestmark = pytest.mark.alone  # any other run on this machine would end what is left


class Family(NamedTuple):
    """A run and all that came of it."""

    run: subprocess.Popen[str]
    supervisor: psutil.Process
    worker: psutil.Process
    child: psutil.Process

    @property
    def all(self) -> list[psutil.Process]:
        return [self.supervisor, self.worker, self.child]


def begun(runs: Runs, tmp_path: Path, *overrides: str) -> Family:
    told = tmp_path / "told"
    run = runs.start(f"told={told}", *overrides, system="kinsys")
    numbers = when(lambda: told.exists() and told.read_text().split())
    (supervisor,) = supervisors(run)
    child, worker = (psutil.Process(int(number)) for number in numbers)
    return Family(run, supervisor, worker, child)


CHILDREN = ("plain", "session", "bare")
"""In the worker's group, in a session of its own, and in one of its own without the mark."""
GIL = pytest.mark.parametrize("held", [False, True], ids=["sleeping", "holding the GIL"])


def busy(held: bool) -> tuple[str, str]:
    return f"held={str(held).lower()}", "seconds=60"


@pytest.mark.parametrize("child", CHILDREN)
def test_a_block_that_ends(runs: Runs, tmp_path: Path, child: str) -> None:
    family = begun(runs, tmp_path, f"child={child}")
    assert family.run.communicate()[0].endswith("ok\n1 0 0\n")
    assert all(map(ended, family.all))


def test_a_block_whose_time_is_over(runs: Runs, tmp_path: Path) -> None:
    told = tmp_path / "told"
    said = runs.whole(f"told={told}", "child=session", "seconds=60", system="kinsys", limit_s=3)
    assert said.endswith("failure\n0 0 1\n")
    (record,) = runs.store.read_all()
    assert record.failure and record.failure.kind == "timeout"
    left = [process(int(number)) for number in told.read_text().split()]
    assert all(found is None or found.dead for found in left)


@GIL
@pytest.mark.parametrize("child", CHILDREN)
def test_a_run_that_is_killed(runs: Runs, tmp_path: Path, child: str, held: bool) -> None:
    family = begun(runs, tmp_path, f"child={child}", *busy(held))
    family.run.kill()
    assert all_gone(family.all)
    assert runs.store.read_all() == []


@GIL
def test_a_supervisor_that_is_killed(runs: Runs, tmp_path: Path, held: bool) -> None:
    family = begun(runs, tmp_path, "child=session", *busy(held))
    family.supervisor.kill()
    assert family.run.communicate()[0].endswith("failure\n0 0 1\n")
    assert all(map(ended, family.all))


@GIL
def test_a_run_and_its_supervisor_that_are_killed(runs: Runs, tmp_path: Path, held: bool) -> None:
    for _ in range(5):
        family = begun(runs, tmp_path, "child=session", *busy(held))
        family.supervisor.suspend()
        family.run.kill()
        family.supervisor.kill()
        assert all_gone([family.supervisor, family.worker])
        alone = not ended(family.child)  # nobody is left to end it, until a run starts, whoever's it is
        said = runs.whole(seeds=(9,))
        assert ended(family.child)
        if alone and "Ended" in said:
            break
        (tmp_path / "told").unlink()
    assert f"Ended what a killed run had left running: sleep (process {family.child.pid})." in said


def test_what_holds_the_timing_lock_next_has_the_machine_for_itself(runs: Runs, tmp_path: Path) -> None:
    family = begun(runs, tmp_path, "child=session", "seconds=60")
    os.kill(family.supervisor.pid, signal.SIGSTOP)
    family.run.kill()
    family.run.wait()
    assert not runs.lock_is_free()  # its holder is gone, and what it started is not
    os.kill(family.supervisor.pid, signal.SIGCONT)
    assert when(runs.lock_is_free)
    assert all(map(ended, [family.worker, family.child]))


def test_a_run_that_waits_ends_what_the_one_before_left(runs: Runs, tmp_path: Path) -> None:
    for seed in range(2, 7):
        family = begun(runs, tmp_path, "child=session", "seconds=60")
        waiting = runs.start(system="kinsys", seeds=(seed,))
        assert waiting.stdout
        assert [waiting.stdout.readline()[:7] for _ in range(2)] == ["planned", "Another"]
        family.supervisor.suspend()
        family.run.kill()
        family.supervisor.kill()
        said = waiting.communicate()[0]
        assert ended(family.child)
        if "Ended" in said:  # and no run of somebody else's was quicker
            break
        (tmp_path / "told").unlink()
    assert f"Ended what a killed run had left running: sleep (process {family.child.pid})." in said


def test_what_a_child_in_its_own_session_takes_is_counted(runs: Runs, tmp_path: Path) -> None:
    runs.whole(f"told={tmp_path / 'told'}", "child=hoards", system="kinsys")
    (record,) = runs.store.read_all()
    assert record.status == "ok"
    assert record.provenance.peak_rss_mb > 300
    assert record.provenance.cpu_s > 1


def test_what_an_orphan_took_before_it_ended_is_counted(runs: Runs, tmp_path: Path) -> None:
    runs.whole(f"told={tmp_path / 'told'}", "child=orphan", system="kinsys")
    (record,) = runs.store.read_all()
    assert record.status == "ok"
    assert record.provenance.cpu_s > 1
