"""Blocks that are timed run one at a time on a machine, whoever started them: the timing lock."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.test_full_disk import room_for
from running.toy_blocks import Log, planned

from remeasure.data import locks
from remeasure.data.locks import locked, timing_lock_path
from remeasure.errors import UserError
from remeasure.records.store import Store
from remeasure.running.executors.local import LocalExecutor
from remeasure.running.runner import run, run_block

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("toys")]


@pytest.fixture
def held() -> Iterator[threading.Event]:
    """Somebody else on this machine holds the timing lock until the event is set."""
    release, holding = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(timing_lock_path()):
            holding.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert holding.wait(60)
    yield release
    release.set()
    thread.join()


def test_a_timed_block_waits_for_the_lock_of_another_run_and_says_so(
    store: Store, held: threading.Event
) -> None:
    items = planned(store, cases=["loop-time"], seeds=[1], overrides={"steps": "100"})

    class Waiter(Log):
        def said(self, sentence: str) -> None:
            assert not self.events
            super().said(sentence)
            held.set()

    log = Waiter()
    run(items, store, LocalExecutor(1), progress=log)
    assert [what for what, _ in log.events] == ["said", "started", "finished"]
    assert "timing" in log.events[0][1]


def test_what_another_run_finished_while_this_one_waited_is_not_measured_twice(
    store: Store, held: threading.Event
) -> None:
    items = planned(store, cases=["loop-time"], seeds=[1], overrides={"steps": "100"})
    theirs = run_block(items[0].block)

    class Waiter(Log):
        def said(self, sentence: str) -> None:
            store.write(theirs)
            held.set()

    log = Waiter()
    outcome = run(items, store, LocalExecutor(1), progress=log)
    assert log.events == []
    assert (outcome.done, outcome.not_started) == ((), ())
    assert outcome.cached == (items[0].block,)
    assert store.read(items[0].block.key).samples == theirs.samples


def test_a_free_lock_is_taken_without_a_word_and_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "deep" / "lock", waiting=pytest.fail):
            pass


def test_a_lock_that_cannot_be_made_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot be made .* REMEASURE_CACHE"),
        locked(tmp_path / "file" / "lock"),
    ):
        pass


def test_who_holds_the_lock_can_pass_it_on(tmp_path: Path) -> None:
    with locked(tmp_path / "lock") as handle:
        child = subprocess.Popen(["sleep", "600"], pass_fds=[handle])
    with pytest.raises(Taken), locked(tmp_path / "lock", waiting=taken):
        pass
    child.kill()
    child.wait()
    with locked(tmp_path / "lock", waiting=taken):
        pass


class Taken(Exception):
    pass


def taken() -> None:
    raise Taken


HOLDS = """
import subprocess, sys
from pathlib import Path
from remeasure.data import locks
from remeasure.data.locks import locked
with locked(Path(sys.argv[1])) as handle:
    print(subprocess.Popen(["sleep", "600"], pass_fds=[handle], stdout=subprocess.DEVNULL).pid)
"""


def test_a_lock_whose_holder_is_gone_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.2)
    lock = tmp_path / "lock"
    holder = subprocess.run(
        [sys.executable, "-c", HOLDS, str(lock)], stdout=subprocess.PIPE, text=True, check=True
    )
    with (
        pytest.raises(UserError, match=r"lock is still held, though .* is gone; `fuser .*lock` .*End that"),
        locked(lock),
    ):
        pass
    os.kill(int(holder.stdout), signal.SIGKILL)
    with locked(lock):
        pass


def test_a_lock_whose_holder_lives_is_waited_for_however_long(
    held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)
    threading.Timer(0.5, held.set).start()
    with locked(timing_lock_path()):
        assert held.is_set()


@pytest.mark.parametrize("content", ["", "nonsense", "9" * 300])
def test_a_lock_that_does_not_say_who_holds_it_is_waited_for(
    held: threading.Event, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    timing_lock_path().write_text(content)
    monkeypatch.setattr(locks, "PATIENCE_S", 0.0)
    threading.Timer(0.3, held.set).start()
    with locked(timing_lock_path()):
        assert held.is_set()


def test_a_file_system_without_locks_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    refused = pytest.raises(UserError, match=r"cannot be locked \(No locks available\).* REMEASURE_CACHE")
    with refused, locked(tmp_path / "lock"):
        pass


def test_a_full_disk_does_not_keep_anybody_from_the_lock(tmp_path: Path) -> None:
    with room_for(0), locked(tmp_path / "lock"):
        pass
