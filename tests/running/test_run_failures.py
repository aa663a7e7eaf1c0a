"""What fails in a run becomes a record and stops nothing else; what ends a run leaves no worker behind."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from running.toy_blocks import faulty, planned, workers_of

from remeasure.errors import UserError
from remeasure.records.record import Record
from remeasure.records.store import Store
from remeasure.running.executors.local import LocalExecutor
from remeasure.running.runner import failure_of, run

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("toys")]


def test_every_kind_of_failure_is_a_record_and_stops_nothing_else(store: Store) -> None:
    items = [
        faulty(store, "raise"),
        faulty(store, "bad-input"),
        faulty(store, "exit"),
        faulty(store, "memory"),
        faulty(store, "hang", timeout_s=2.0),
        faulty(store, "none"),
    ]
    outcome = run(items, store, LocalExecutor(2))
    assert (len(outcome.done), len(outcome.failed)) == (1, 5)
    records = {record.overrides["fault"]: record for record in store.read_all()}
    failures = {fault: record.failure for fault, record in records.items() if record.failure}
    assert {fault: failure.kind for fault, failure in failures.items()} == {
        "raise": "error",
        "bad-input": "bad-input",
        "exit": "error",
        "memory": "memory",
        "hang": "timeout",
    }
    assert failures["raise"].message == "RuntimeError: planted fault"
    assert "planted fault" in failures["raise"].traceback
    assert "planted fault" in failures["raise"].log_tail
    assert failures["bad-input"].message == "toydata is not what the case needs; planted fault."
    assert "code 9" in failures["exit"].message
    assert "limit of 700 MB" in failures["memory"].message
    assert records["memory"].provenance.peak_rss_mb > 700
    assert "limit of 2 s" in failures["hang"].message
    for record in records.values():
        assert record.arms and record.metrics
        # One that was ended before it could say where it ran has none.
        assert record.provenance.environment in {"", *store.environments}
        text = msgspec.json.encode(record).decode()
        assert str(Path.cwd()) not in text
        assert str(Path.home()) not in text
    assert records["none"].status == "ok"
    assert not workers_of(os.getpid())


def test_a_failure_is_tried_again_and_replaced(store: Store) -> None:
    item = faulty(store, "none", timeout_s=0.0)
    assert run([item], store, LocalExecutor(1)).failed == (item.block,)
    assert store.read(item.block.key).failure
    (again,) = planned(store, "faulty", seeds=[1], overrides={"fault": "none"})
    assert not again.cached
    assert run([again], store, LocalExecutor(1)).done == (item.block,)
    assert [record.status for record in store.read_all()] == ["ok"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, UserError("the disk is full.")])
def test_whatever_ends_a_run_leaves_no_worker_and_keeps_what_is_finished(
    store: Store, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = planned(store, "faulty", seeds=[1])
    hanging = [replace(faulty(store, "hang"), timeout_s=60.0), *planned(store, "faulty", seeds=[2])]
    started: list[psutil.Process] = []

    def end_it(record: Record) -> None:
        started.extend(workers_of(os.getpid()))
        raise error

    with pytest.raises(error if isinstance(error, type) else type(error)):
        run([*quick, *hanging], store, LocalExecutor(2), on_record=end_it)
    assert started
    # What a worker forked a moment ago still has its name, and is reaped by the system when it is killed.
    assert psutil.wait_procs(started, timeout=30)[1] == []
    assert [record.key for record in store.read_all()] == [quick[0].block.key]


def test_failures_of_exceptions_are_sorted_by_kind() -> None:
    def failure(error: BaseException) -> str:
        return failure_of(error).kind

    assert failure(UserError("no.")) == "bad-input"
    assert failure(MemoryError()) == "memory"
    assert failure(ValueError("no")) == "error"
    assert failure(SystemExit(3)) == "error"
