"""Blocks that are timed run one at a time on a machine, whoever started them: the timing lock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from running.toy_blocks import Log, planned

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
        def waiting(self, sentence: str) -> None:
            assert not self.events
            super().waiting(sentence)
            held.set()

    log = Waiter()
    run(items, store, LocalExecutor(1), progress=log)
    assert [what for what, _ in log.events] == ["waiting", "started", "finished"]
    assert "timing" in log.events[0][1]


def test_what_another_run_finished_while_this_one_waited_is_not_measured_twice(
    store: Store, held: threading.Event
) -> None:
    items = planned(store, cases=["loop-time"], seeds=[1], overrides={"steps": "100"})
    theirs = run_block(items[0].block)

    class Waiter(Log):
        def waiting(self, sentence: str) -> None:
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
