"""Insertions that end in the middle: killed at every point, or stopped by a disk that takes no more."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock

import pytest
from blockllm.zoo_models import model, same

from remeasure.errors import UserError
from remeasure.impls.blockllm.chain import Model
from remeasure.impls.blockllm.zoo import objects, store, writing
from remeasure.impls.blockllm.zoo.store import Zoo
from remeasure.impls.blockllm.zoo.verify import verify

BASE, OTHER = model("base"), model("other", (0, 1, 0, 0, 0, 1), {3: 2})
STEPS = ("open", "pwrite", "ftruncate", "fsync", "replace", "unlink")
"""The system calls by which an insertion changes a disk, and the removal of what failed."""


def forked(work: Callable[[], object]) -> int:
    """Begin something in a process of its own; its number."""
    child = os.fork()
    if not child:
        with suppress(BaseException):
            work()
            os._exit(0)
        os._exit(1)
    return child


def in_a_child(work: Callable[[], object]) -> int:
    """Do something in a process of its own; how that ended (see `os.waitpid`)."""
    return os.waitpid(forked(work), 0)[1]


def insert_and_die(root: Path, one: Model, before_step: int) -> None:
    """Insert, and be killed just before a system call, counted from 0 over all threads."""
    steps, lock = count(), Lock()

    def dying(really: Callable[..., object]) -> Callable[..., object]:
        def call(*given: object, **named: object) -> object:
            with lock:
                if next(steps) == before_step:
                    os.kill(os.getpid(), signal.SIGKILL)
            return really(*given, **named)

        return call

    def write_bytes(path: Path, content: bytes) -> int:
        really(path, content[: len(content) // 2])
        return die_there(path, content)  # type: ignore[return-value]

    for name in STEPS:
        setattr(os, name, dying(getattr(os, name)))
    really = Path.write_bytes
    die_there = dying(really)
    Path.write_bytes = write_bytes  # type: ignore[assignment,method-assign]
    Zoo(root, threads=2).insert(one)


def check_kills(root: Path) -> int:
    """Kill an insertion at every step it has; how many that were."""
    Zoo(root).insert(BASE)
    before = {path: path.read_bytes() for path in root.glob("*/*")}
    for step in count():
        ended = in_a_child(lambda step=step: insert_and_die(root, OTHER, step))  # type: ignore[misc]
        held = Zoo(root)
        assert not verify(held), "a killed insertion leaves a zoo that is valid"
        assert same(held.fetch("base")["base"], BASE)
        if ended == 0:
            assert same(held.fetch("other")["other"], OTHER)
            return step
        assert os.WTERMSIG(ended) == signal.SIGKILL
        if "other" in held.models():  # killed after the rename, while the disk was waited for
            assert same(held.fetch("other")["other"], OTHER)
            held.remove("other")
        held.collect()
        assert {path: path.read_bytes() for path in root.glob("*/*")} == before, "collecting removes the rest"
    raise AssertionError("the insertion never ended")


def test_an_insertion_killed_at_any_point_leaves_a_valid_zoo(tmp_path: Path) -> None:
    assert check_kills(tmp_path / "zoo") >= 4 * len(STEPS), "every object and the chain take several steps"


def chain_first(patch: pytest.MonkeyPatch) -> None:
    """Mutant: the chain is there before its objects are."""
    waiting: list[writing.Batch] = []
    commit, put = writing.Batch.commit, store.put

    def put_and_commit(path: Path, content: bytes) -> None:
        put(path, content)
        commit(waiting.pop())

    patch.setattr(writing.Batch, "commit", lambda self: waiting.append(self))
    patch.setattr(store, "put", put_and_commit)


def own_names(patch: pytest.MonkeyPatch) -> None:
    """Mutant: objects are written under their own names at once, and so are there while they are half-written."""
    patch.setattr(writing.Batch, "_temporary", lambda self, name: self.folder / (name + objects.SUFFIX))


def leaves_orphans(patch: pytest.MonkeyPatch) -> None:
    """Mutant: what was being written is never collected."""
    patch.setattr(store, "TEMPORARY", ".nothing")


@pytest.mark.parametrize("mutant", [chain_first, own_names, leaves_orphans])
def test_a_zoo_that_a_kill_damages_is_noticed(
    mutant: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, UserError)):
        check_kills(tmp_path / "zoo")


@pytest.mark.parametrize("limit", [0, 200, 700])
def test_a_disk_that_takes_no_more_is_said_in_a_sentence(limit: int, tmp_path: Path) -> None:
    """A real limit of the system: no file of the child may become longer than this."""
    root = tmp_path / "zoo"
    Zoo(root).insert(BASE)
    before = {path: path.read_bytes() for path in root.glob("*/*")}

    def refused() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(UserError, match=r"zoo does not take other \(File too large\)"):
            Zoo(root).insert(OTHER)

    assert in_a_child(refused) == 0
    assert {path: path.read_bytes() for path in root.glob("*/*")} == before


def check_collection_waits(root: Path) -> None:
    """Collect while another process is in the middle of an insertion."""
    Zoo(root).insert(BASE)
    begun, go_on = os.pipe(), os.pipe()
    honest = writing.Batch.commit

    def commit(self: writing.Batch) -> None:
        os.write(begun[1], b"x")
        os.read(go_on[0], 1)
        honest(self)

    def insert_slowly() -> None:
        writing.Batch.commit = commit  # type: ignore[method-assign]
        Zoo(root).insert(OTHER)

    child = forked(insert_slowly)
    os.read(begun[0], 1)
    with ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(Zoo(root).collect)
        wait([collecting], timeout=0.2)  # what does not wait is done by then
        os.write(go_on[1], b"x")
        assert os.waitpid(child, 0)[1] == 0, "the insertion was disturbed"
        assert collecting.result() == 0
    assert not verify(Zoo(root)) and same(Zoo(root).fetch("other")["other"], OTHER)


def test_collection_waits_for_an_insertion_of_another_process(tmp_path: Path) -> None:
    check_collection_waits(tmp_path / "zoo")


@pytest.mark.alone
def test_a_collection_that_does_not_wait_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.fcntl, "flock", lambda *given: None)
    with pytest.raises(AssertionError):
        check_collection_waits(tmp_path / "zoo")


def test_processes_that_insert_at_the_same_time_share_what_is_equal(tmp_path: Path) -> None:
    models = [model(f"tenant {n}", (0, n % 2, 0, n, 0, 0), {1: 0, 3: n}) for n in range(4)]
    children = [forked(lambda one=one: Zoo(tmp_path / "zoo", threads=2).insert(one)) for one in models]  # type: ignore[misc]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    zoo = Zoo(tmp_path / "zoo")
    assert not verify(zoo) and zoo.collect() == 0
    assert all(same(zoo.fetch(one.name)[one.name], one) for one in models)
    assert len(list(zoo.objects.iterdir())) == 4 + 2 + 4 + 1 + 4
