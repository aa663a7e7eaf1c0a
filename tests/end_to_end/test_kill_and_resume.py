"""A run that is killed at any moment resumes: the same records, nothing doubled, lost or left over."""

from __future__ import annotations

import random
import signal
from pathlib import Path

import pytest
from end_to_end.killed_runs import Runs, all_gone, descendants, ended, supervisors, when, workers

pytestmark = pytest.mark.alone

MOMENTS = 20
SEEDS = tuple(range(1, 16))


@pytest.mark.slow
def test_runs_killed_at_random_moments_end_with_the_records_of_one_that_was_not(
    runs: Runs, tmp_path: Path
) -> None:
    """Moments are told by a clock that the blocks turn: a tick a round, ten rounds a block."""
    rng = random.Random(20)
    clock = tmp_path / "clock"
    clock.touch()
    setting = (f"clock={clock}", "seconds=0.02")
    finished: set[str] = set()
    for _ in range(MOMENTS):
        now, moment = clock.stat().st_size, rng.randint(1, 12)
        run = runs.start(*setting, system="kinsys", seeds=SEEDS)
        assert when(lambda run=run, then=now + moment: clock.stat().st_size >= then and workers(run))
        for victims in rng.choice([[[run]], [[run, *supervisors(run)]], [supervisors(run), [run]]]):
            processes = descendants(run)
            for victim in victims:
                victim.kill()
            assert all_gone(processes)
        run.wait()
        # What was finished stays, and nothing that can be read is half-written.
        whole = {key for key, record in runs.kept().items() if record.status == "ok"}
        assert finished <= whole
        finished = whole
    runs.whole(*setting, system="kinsys", seeds=SEEDS)
    resumed = runs.kept()

    runs.store.root.rename(tmp_path / "resumed")
    runs.whole(*setting, system="kinsys", seeds=SEEDS)
    whole_run = runs.kept()
    assert resumed.keys() == whole_run.keys()
    assert {key: record.samples for key, record in resumed.items()} == {
        key: record.samples for key, record in whole_run.items()
    }
    assert len(list(runs.store.runs.glob("*/*/*"))) == len(SEEDS)
    assert len(list((tmp_path / "resumed" / "runs").glob("kinsys/*/*"))) == len(SEEDS)
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_killed_worker_is_a_failure_and_is_measured_again(runs: Runs) -> None:
    run = runs.start("seconds=20")
    (worker,) = when(lambda: workers(run))
    worker.kill()
    output, _ = run.communicate()
    assert "failure\n" in output
    assert "0 0 1" in output
    (record,) = runs.store.read_all()
    assert record.failure and record.failure.kind == "killed"
    assert "SIGKILL" in record.failure.message
    # Another setting is another block; the failure of the first stays until that is run again.
    runs.whole()
    assert sorted(record.status for record in runs.store.read_all()) == ["failure", "ok"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_ends_its_workers_and_keeps_what_is_finished(
    runs: Runs, number: signal.Signals
) -> None:
    runs.whole()
    before = runs.kept()
    assert len(before) == 1
    run = runs.start("seconds=20", seeds=(1, 2))
    when(lambda: len(workers(run)) == 2)
    processes = descendants(run)
    run.send_signal(number)
    assert run.wait() == 130
    assert all(map(ended, processes))
    assert runs.kept() == before
