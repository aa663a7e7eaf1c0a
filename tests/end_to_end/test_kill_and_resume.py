"""A run that is killed at any moment resumes: the same records, nothing doubled, lost or left over."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from remeasure.records.record import Record
from remeasure.records.store import Store

pytestmark = pytest.mark.alone

TESTS = Path(__file__).parents[1]
SEEDS = (1, 2, 3)

RUN = """
import sys
from pathlib import Path
from remeasure.running.executors.local import LocalExecutor
from remeasure.declared.registry import registry
from remeasure.running.blocks import plan
from remeasure.running.runner import run
from remeasure.records.store import Store

store = Store(Path(sys.argv[1]))
system, overrides = sys.argv[2], dict(pair.split("=") for pair in sys.argv[4:])
seeds = [int(seed) for seed in sys.argv[3].split(",")]
planned = plan(registry(), store, profile="smoke", systems=[system], seeds=seeds, overrides=overrides)
print("planned", flush=True)
try:
    outcome = run(planned, store, LocalExecutor(2), on_record=lambda record: print(record.status, flush=True))
except KeyboardInterrupt:
    sys.exit(130)
print(len(outcome.done), len(outcome.cached), len(outcome.failed), flush=True)
"""

KIN = '''
"""A case that starts a process of its own and leaves it running."""

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from remeasure.contracts import Arm, At, Metric, case
from toy.datasets.toydata.loader import Request


@dataclass(frozen=True)
class Config:
    """Where the child's number goes, and for how long the round waits."""

    told: str = ""
    seconds: float = 0.0


def start(told):
    child = subprocess.Popen(["sleep", "600"])
    Path(told).write_text(str(child.pid))


@case(
    dataset="toydata",
    request=Request(),
    arms=[Arm("alone", "reference", Config())],
    metrics=[Metric("score", unit="", better="higher", kind="count")],
    profiles={"tiny": At(), "smoke": At(seeds=(1,))},
    tags=("no-strawman", "no-optimized"),
)
def kin(arm, data, seed):
    """Who is left?"""

    def run():
        if arm.config.told:
            start(arm.config.told)
        time.sleep(arm.config.seconds)
        return {"score": 1}

    return run
'''


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def start(tmp_path: Path, cache: Path) -> Iterator[Start]:
    """Starts a run into `tmp_path/results`; whatever still runs at the end of the test is ended."""
    (tmp_path / "kinsys").mkdir()
    (tmp_path / "kinsys" / "__init__.py").write_text("")
    (tmp_path / "kinsys" / "cases.py").write_text(KIN)
    (tmp_path / "kinsys" / "claims.toml").write_text('title = "t"\npaper = "p"\nlink = "l"\n')
    environment = {
        **os.environ,
        "REMEASURE_SYSTEMS": "toy.systems.faulty,kinsys",
        "REMEASURE_DATASETS": "toy.datasets.toydata",
        "REMEASURE_CACHE": str(cache),
        "PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS), str(tmp_path)]),
    }
    environment.pop("REMEASURE_DATA", None)
    runs: list[subprocess.Popen[str]] = []

    def begin(
        *arguments: str, system: str = "faulty", seeds: tuple[int, ...] = SEEDS
    ) -> subprocess.Popen[str]:
        words = [str(tmp_path / "results"), system, ",".join(map(str, seeds)), *arguments]
        runs.append(
            subprocess.Popen(
                [sys.executable, "-c", RUN, *words], env=environment, stdout=subprocess.PIPE, text=True
            )
        )
        return runs[-1]

    yield begin
    for run in runs:
        if run.poll() is None:
            run.kill()
        run.wait()
        if run.stdout:
            run.stdout.close()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


def descendants(run: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(run.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def when(condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as it holds."""
    for _ in range(3000):
        if found := condition():
            return found
        time.sleep(0.02)
    raise AssertionError("it never happened")


def all_gone(processes: list[psutil.Process]) -> bool:
    """Ended, each of them; whether somebody has collected what is left of it is not ours to say."""
    return bool(when(lambda: all(map(ended, processes))))


def ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kept(store: Store) -> dict[str, Record]:
    return {record.key: record for record in store.read_all()}


def test_runs_killed_at_random_moments_end_with_the_records_of_one_that_was_not(
    start: Start, store: Store, tmp_path: Path
) -> None:
    rng = random.Random(20)
    finished: dict[str, Record] = {}
    for _ in range(3):
        run = start("seconds=0.3")
        assert run.stdout and run.stdout.readline() == "planned\n"
        time.sleep(rng.uniform(0.0, 3.0))
        workers = descendants(run)
        run.kill()
        run.wait()
        assert all_gone(workers)
        # What was finished stays byte for byte, and nothing that can be read is half-written.
        now = kept(store)
        assert {key: now[key] for key in finished} == finished
        finished = now
    last, _ = start("seconds=0.3").communicate()
    assert f"{len(SEEDS) - len(finished)} {len(finished)} 0" in last
    resumed = kept(store)
    assert {key: resumed[key] for key in finished} == finished

    store.root.rename(tmp_path / "resumed")
    start("seconds=0.3").communicate()
    whole = kept(store)
    assert resumed.keys() == whole.keys()
    assert {key: record.samples for key, record in resumed.items()} == {
        key: record.samples for key, record in whole.items()
    }
    assert len(list(store.runs.glob("*/*/*"))) == len(SEEDS)
    assert len(list((tmp_path / "resumed" / "runs").glob("*/*/*"))) == len(SEEDS)
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_killed_worker_is_a_failure_and_is_measured_again(start: Start, store: Store) -> None:
    run = start("seconds=20", seeds=(1,))
    (worker,) = when(lambda: descendants(run))
    worker.kill()
    output, _ = run.communicate()
    assert "failure\n" in output
    assert "0 0 1" in output
    (record,) = store.read_all()
    assert record.failure and record.failure.kind == "killed"
    assert "SIGKILL" in record.failure.message
    # Another setting is another block; the failure of the first stays until that is run again.
    start(seeds=(1,)).communicate()
    assert sorted(record.status for record in store.read_all()) == ["failure", "ok"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_ends_its_workers_and_keeps_what_is_finished(
    start: Start, store: Store, number: signal.Signals
) -> None:
    start(seeds=(1,)).communicate()
    before = kept(store)
    assert len(before) == 1
    run = start("seconds=20", seeds=(1, 2))
    workers = when(lambda: len(descendants(run)) == 2 and descendants(run))
    run.send_signal(number)
    assert run.wait() == 130
    assert all_gone(workers)
    assert kept(store) == before


def test_what_a_block_started_is_gone_when_it_ends(start: Start, store: Store, tmp_path: Path) -> None:
    told = tmp_path / "told"
    start(f"told={told}", system="kinsys", seeds=(1,)).communicate()
    assert [record.status for record in store.read_all()] == ["ok"]
    child = int(told.read_text())
    assert not psutil.pid_exists(child) or all_gone([psutil.Process(child)])


def test_what_a_block_started_is_gone_when_its_run_is_killed(
    start: Start, store: Store, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    run = start(f"told={told}", "seconds=60", system="kinsys", seeds=(1,))
    when(lambda: told.exists() and told.read_text())
    kin = descendants(run)
    assert int(told.read_text()) in [process.pid for process in kin]
    run.kill()
    assert all_gone(kin)
    assert store.read_all() == []
