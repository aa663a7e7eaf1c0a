"""The supervisor: it ends all that came of its command, and ends as the command did."""

from __future__ import annotations

import errno
import gc
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from running.toy_blocks import planned

from remeasure.errors import UserError
from remeasure.processes import MARK, marked, name_of, process
from remeasure.records.store import Store
from remeasure.running import supervisor
from remeasure.running.executors import local
from remeasure.running.messages import SUPERVISOR
from remeasure.running.runner import run

pytestmark = pytest.mark.alone

HERE = str(os.getpid())


def supervised(*command: str, asker: str = HERE, held: tuple[int, ...] = ()) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", SUPERVISOR, asker, *map(str, held), "--", *command]
    return subprocess.Popen(
        words,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=held,
        start_new_session=True,
    )


def at_work(**options: Any) -> subprocess.Popen[str]:
    """A supervisor whose command has begun, and would go on for long."""
    begun = supervised(*python("import time; print('begun', flush=True); time.sleep(600)"), **options)
    assert begun.stdout and begun.stdout.readline() == "begun\n"
    return begun


def python(source: str) -> tuple[str, str, str]:
    return sys.executable, "-c", source


def is_gone(pid: int) -> bool:
    found = process(pid)
    return found is None or found.dead


@pytest.mark.parametrize("code", [0, 3])
def test_it_ends_with_the_code_of_its_command(code: int) -> None:
    assert supervised(*python(f"raise SystemExit({code})")).wait() == code


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_it_ends_by_the_signal_that_ended_its_command(number: signal.Signals) -> None:
    assert supervised(*python(f"import os; os.kill(os.getpid(), {number})")).wait() == -number


def test_the_command_has_the_mark_and_the_signals_of_its_asker_but_not_what_is_held() -> None:
    reading, writing = os.pipe()
    source = f"""
import os, signal
print(os.environ[{MARK!r}])
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
try:
    os.fstat({writing})
except OSError:
    print("not held")
"""
    begun = supervised(*python(source), held=(writing,))
    said, _ = begun.communicate()
    mark, mask, held = said.splitlines()
    assert mark.startswith(f"{begun.pid} ")
    assert (mask, held) == ("set()", "not held")
    os.close(writing)
    assert os.read(reading, 1) == b""  # and the supervisor let go of it
    os.close(reading)


def test_it_holds_what_it_is_given_until_all_has_ended() -> None:
    reading, writing = os.pipe()
    begun = at_work(held=(writing,))
    os.close(writing)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    begun.terminate()
    assert begun.wait() == -signal.SIGTERM
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_orphans_of_orphans_are_ended_too() -> None:
    source = """
import os, sys, time
for _ in range(3):
    if os.fork():
        time.sleep(0.2)
        os._exit(0)
    os.setsid()
print(os.getpid(), flush=True)
time.sleep(600)
"""
    begun = supervised(*python(source))
    said, _ = begun.communicate()  # it ends only when nobody holds its output any more
    assert begun.returncode == 0
    assert is_gone(int(said))


def test_what_carries_the_mark_is_ended_whoever_started_it() -> None:
    begun = at_work()
    mark = name_of(begun.pid)
    elsewhere = subprocess.Popen(["sleep", "600"], env={MARK: mark})
    while elsewhere.pid not in {one.pid for one in marked(mark)}:
        time.sleep(0.01)  # until it has its own environment
    begun.terminate()
    begun.wait()
    assert elsewhere.wait() == -signal.SIGKILL


def test_what_keeps_starting_others_is_ended() -> None:
    source = """
import os, time
if os.fork() == 0:
    while True:
        if os.fork():
            os._exit(0)
        time.sleep(0.001)
time.sleep(0.1)
"""
    said, _ = supervised(*python(source)).communicate(timeout=60)
    assert said == ""


def test_it_does_not_start_for_an_asker_that_is_gone(tmp_path: Path) -> None:
    begun = supervised(
        *python(f"import time; time.sleep(1); open({str(tmp_path / 'begun')!r}, 'w')"), asker="1"
    )
    assert begun.wait() == -signal.SIGTERM
    time.sleep(1.2)
    assert not (tmp_path / "begun").exists()


def test_a_command_that_cannot_be_started_is_said() -> None:
    begun = supervised("/nowhere/python")
    assert begun.communicate()[0] == "/nowhere/python cannot be started (No such file or directory).\n"
    assert begun.returncode == supervisor.NOT_STARTED


NO_PRCTL = "ctypes.CDLL = lambda *_, **__: types.SimpleNamespace()"
REFUSED = "ctypes.CDLL = lambda *_, **__: types.SimpleNamespace(prctl=lambda *_: ctypes.set_errno(1) or -1)"


@pytest.mark.parametrize(
    ("fault", "why"), [(NO_PRCTL, "it has no prctl"), (REFUSED, "Operation not permitted")]
)
def test_a_system_that_cannot_end_what_a_block_starts_is_refused_in_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, toys: None, tmp_path: Path, fault: str, why: str
) -> None:
    (tmp_path / "unable.py").write_text(
        f"import ctypes, types\nfrom remeasure.running import supervisor\n{fault}\nsupervisor.main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(local, "SUPERVISOR", "unable")
    items = planned(store, cases=["prediction"], seeds=[1])
    with pytest.raises(
        UserError, match=rf"^Blocks cannot be run: .* \({why}\)\. Run it on Linux, .*prctl\.$"
    ):
        run(items, store, local.LocalExecutor(1))
    assert store.read_all() == []


def test_a_machine_without_room_for_another_process_is_refused_in_one_sentence(
    store: Store, monkeypatch: pytest.MonkeyPatch, toys: None
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", full)
    gc.collect()  # what others forgot to close
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(UserError, match=r"No process can be started .*unavailable.*same command again"):
        run(planned(store, cases=["prediction"], seeds=[1]), store, local.LocalExecutor(1))
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_supervisor_that_does_not_answer_is_ended_with_what_it_watched(
    store: Store, monkeypatch: pytest.MonkeyPatch, toys: None, tmp_path: Path
) -> None:
    (tmp_path / "deaf.py").write_text(
        "import signal\nfrom remeasure.running import supervisor\n"
        "supervisor._wait = lambda worker: signal.sigwait({signal.SIGUSR1})\nsupervisor.main()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(local, "SUPERVISOR", "deaf")
    monkeypatch.setattr(local, "PATIENCE_S", 0.2)
    children = psutil.Process().children()
    outcome = run(planned(store, cases=["prediction"], seeds=[1]), store, local.LocalExecutor(1))
    assert len(outcome.done) == 1
    assert psutil.Process().children() == children
