"""Runs that are killed, and blocks that start processes of their own and leave them behind."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from remeasure.records.record import Record
from remeasure.records.store import Store

TESTS = Path(__file__).parents[1]

RUN = """
import dataclasses
import os
import sys
from pathlib import Path
from remeasure.running.executors.local import LocalExecutor
from remeasure.running.messages import Silent
from remeasure.declared.registry import registry
from remeasure.errors import UserError
from remeasure.running.blocks import plan
from remeasure.running.runner import run
from remeasure.records.store import Store

class Told(Silent):
    def said(self, sentence):
        print(sentence, flush=True)

store = Store(Path(sys.argv[1]))
system, overrides = sys.argv[2], dict(pair.split("=", 1) for pair in sys.argv[4:])
seeds = [int(seed) for seed in sys.argv[3].split(",")]
planned = plan(registry(), store, profile="smoke", systems=[system], seeds=seeds, overrides=overrides)
if limit := os.environ.get("LIMIT_S"):
    planned = [dataclasses.replace(item, timeout_s=float(limit)) for item in planned]
print("planned", flush=True)
try:
    outcome = run(
        planned,
        store,
        LocalExecutor(2),
        progress=Told(),
        on_record=lambda record: print(record.status, flush=True),
    )
except UserError as error:
    print(error, flush=True)
    sys.exit(2)
except KeyboardInterrupt:
    sys.exit(130)
print(len(outcome.done), len(outcome.cached), len(outcome.failed), flush=True)
"""

KIN = '''
"""A case that runs alone, starts processes of its own, and counts its rounds where a test can see them."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from remeasure.contracts import Arm, At, Metric, case
from toy.datasets.toydata.loader import Request

HOARD = """
import pathlib, sys, time
hoard = bytearray(300 << 20)
for place in range(0, len(hoard), 4096):
    hoard[place] = 1
while time.process_time() < 1.0:
    pass
pathlib.Path(sys.argv[1]).touch()
time.sleep(float(sys.argv[2]))
"""
ORPHAN = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {HOARD!r}, *sys.argv[1:]])"


@dataclass(frozen=True)
class Config:
    """What a round does, where it tells of it, and for how long it waits."""

    child: str = ""
    told: str = ""
    clock: str = ""
    seconds: float = 0.0
    held: bool = False


def start(how, told):
    """A child that would live on: in this group, in a session of its own, without its mark, or large and busy.

    An orphan is large and busy and ends before the block does.
    """
    options = {"start_new_session": how != "plain"}
    if how == "bare":
        options["env"] = {}
    commands = {
        "hoards": [sys.executable, "-c", HOARD, told + ".ready", "600"],
        "orphan": [sys.executable, "-c", ORPHAN, told + ".ready", "0"],
    }
    return subprocess.Popen(commands.get(how, ["sleep", "600"]), **options)


@case(
    dataset="toydata",
    request=Request(),
    arms=[Arm("alone", "reference", Config())],
    metrics=[Metric("score", unit="", better="higher", kind="count")],
    profiles={"tiny": At(), "smoke": At(seeds=(1,), rounds=10)},
    isolated=True,
    tags=("partial",),
)
def kin(arm, data, seed):
    """Who is left?"""

    def run():
        if arm.config.told and not os.path.exists(arm.config.told):
            child = start(arm.config.child, arm.config.told)
            while arm.config.child in ("hoards", "orphan") and not os.path.exists(arm.config.told + ".ready"):
                time.sleep(0.1)
            time.sleep(1 if arm.config.child == "orphan" else 0)
            Path(arm.config.told).write_text(f"{child.pid} {os.getpid()}")
        if arm.config.clock:
            with open(arm.config.clock, "ab") as clock:
                clock.write(b".")
        if arm.config.held:
            sum(range(10**10))
        time.sleep(arm.config.seconds)
        return {"score": seed}

    return run
'''


class Runs:
    """Starts runs that keep their records in `folder/results`."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.store = Store(folder / "results")
        (folder / "kinsys").mkdir()
        (folder / "kinsys" / "__init__.py").write_text("")
        (folder / "kinsys" / "cases.py").write_text(KIN)
        (folder / "kinsys" / "claims.toml").write_text('title = "t"\npaper = "p"\nlink = "l"\n')
        self.environment = {
            **os.environ,
            "REMEASURE_SYSTEMS": "toy.systems.faulty,kinsys",
            "REMEASURE_DATASETS": "toy.datasets.toydata",
            "REMEASURE_CACHE": str(cache),
            "PYTHONPATH": os.pathsep.join([*sys.path, str(TESTS), str(folder)]),
        }
        self.environment.pop("REMEASURE_DATA", None)
        self.begun: list[subprocess.Popen[str]] = []

    def start(
        self,
        *overrides: str,
        system: str = "faulty",
        seeds: tuple[int, ...] = (1,),
        limit_s: float | None = None,
        **options: Any,
    ) -> subprocess.Popen[str]:
        words = [str(self.store.root), system, ",".join(map(str, seeds)), *overrides]
        environment = self.environment | ({} if limit_s is None else {"LIMIT_S": str(limit_s)})
        begun = subprocess.Popen(
            [sys.executable, "-c", RUN, *words], env=environment, stdout=subprocess.PIPE, text=True, **options
        )
        self.begun.append(begun)
        return begun

    def whole(self, *overrides: str, **options: Any) -> str:
        """What a run that nobody disturbs says."""
        said, _ = self.start(*overrides, **options).communicate()
        return said

    def kept(self) -> dict[str, Record]:
        return {record.key: record for record in self.store.read_all()}

    def lock_is_free(self) -> bool:
        with (self.cache / "timing.lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

    def end(self) -> None:
        for run in self.begun:
            if run.poll() is None:
                run.kill()
            run.wait()
            if run.stdout:
                run.stdout.close()


def descendants(run: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(run.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def supervisors(run: subprocess.Popen[str]) -> list[psutil.Process]:
    try:
        return psutil.Process(run.pid).children()
    except psutil.NoSuchProcess:
        return []


def workers(run: subprocess.Popen[str]) -> list[psutil.Process]:
    return [worker for supervisor in supervisors(run) for worker in supervisor.children()]


def when(condition: Callable[[], Any]) -> Any:
    """What the condition gives as soon as it holds."""
    for _ in range(6000):
        if found := condition():
            return found
        time.sleep(0.01)
    raise AssertionError("it never happened")


def all_gone(processes: list[psutil.Process]) -> bool:
    """Ended, each of them; whether somebody has collected what is left of it is not ours to say."""
    return bool(when(lambda: all(map(ended, processes))))


def ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
