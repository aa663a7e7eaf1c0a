"""One block, measured in this process: its record is complete, repeats, and names no folder of the user."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from running.toy_blocks import planned

from remeasure.data.copies import cache_dir
from remeasure.declared.registry import registry
from remeasure.errors import UserError
from remeasure.records.record import Record
from remeasure.records.store import Store
from remeasure.running import runner
from remeasure.running.contract_checks import run_contract
from remeasure.running.runner import run_block
from toy.env import use_toy

pytestmark = pytest.mark.usefixtures("toys")


def test_a_block_gives_a_complete_record(store: Store, tmp_path: Path) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[3], overrides={"users": "40"})
    told: list[tuple[int, int]] = []
    record = run_block(item.block, on_round=lambda done, total: told.append((done, total)))
    assert (record.key, record.status, record.contract) == (item.block.key, "ok", "passed")
    assert record.evidence == "scaled"
    assert record.overrides == {"users": "40"}
    assert record.data and (record.data.kind, record.data.origin) == ("simulated", "simulator")
    assert {len(values) for values in record.samples["accuracy"].values()} == {40}
    assert set(record.samples["accuracy"]) == set(record.arms)
    assert record.arms["group mean"].config["group"] is True
    assert record.arms["group mean"].tuning and record.arms["group mean"].tuning["trials"] == 2
    assert record.arms["peek"].invalid
    assert record.metrics["accuracy"].per == "user"
    assert record.provenance.command == item.block.command
    assert record.provenance.fingerprint and record.provenance.environment
    assert record.provenance.peak_rss_mb > 0
    assert told[-1] == (5, 5)
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_a_record_says_what_the_contract_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    use_toy(monkeypatch, tmp_path / "cache")
    system = registry().system("toysys")
    unasked = replace(system.cases["prediction"], question="")
    monkeypatch.setitem(system.__dict__, "cases", {**system.cases, "prediction": unasked})
    (item,) = planned(store, cases=["prediction"], seeds=[1])
    record = run_block(item.block)
    assert record.status == "ok"
    assert record.contract.startswith("case toysys/prediction: asks no question")


@pytest.mark.parametrize(
    ("status", "peak_mb"),
    [
        ("VmPeak:\t 9216 kB\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB\n", 2.0),
        ("Name:\tpython\n", 0.0),
        (None, 0.0),
    ],
)
def test_a_record_says_what_its_block_cost(
    store: Store, monkeypatch: pytest.MonkeyPatch, status: str | None, peak_mb: float
) -> None:
    read_text = Path.read_text

    def read(path: Path, *how: Any, **options: Any) -> str:
        if str(path) != "/proc/self/status":
            return read_text(path, *how, **options)
        if status is None:
            raise FileNotFoundError(str(path))
        return status

    def in_turn(*values: Any) -> Callable[[], Any]:
        return iter(values).__next__

    (item,) = planned(store, cases=["prediction"], seeds=[1])
    run_contract(registry(), registry().case("toysys/prediction"), cache_dir())  # is not what is looked at
    monkeypatch.setattr(Path, "read_text", read)
    monkeypatch.setattr(os, "times", in_turn((1, 2, 4, 8, 1000), (10, 20, 40, 80, 9000)))
    monkeypatch.setattr(os, "getloadavg", in_turn((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    monkeypatch.setattr(runner, "stolen_s", in_turn(10.0, 12.5))
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=in_turn(100.0, 107.5)))
    cost = run_block(item.block).provenance
    assert (cost.wall_s, cost.cpu_s, cost.steal_s, cost.peak_rss_mb) == (7.5, 135.0, 2.5, peak_mb)
    assert (cost.load_before, cost.load_after) == (0.1, 0.4)


def test_the_users_own_data_are_measured_and_their_folder_is_not_written_down(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "scores.tsv").write_bytes(
        (Path(__file__).parents[1] / "toy/mirror/toydata/scores.tsv").read_bytes()
    )
    (item,) = planned(store, cases=["prediction"], seeds=[1], data_dir=str(tmp_path))
    record = run_block(item.block)
    assert record.data and (record.data.kind, record.data.origin) == ("real", "directory")
    assert str(tmp_path) not in msgspec.json.encode(record).decode()


def test_data_that_change_while_they_are_measured_are_refused(store: Store, tmp_path: Path) -> None:
    scores = tmp_path / "scores.tsv"
    whole = (Path(__file__).parents[1] / "toy/mirror/toydata/scores.tsv").read_bytes()
    scores.write_bytes(whole)
    (item,) = planned(store, cases=["prediction"], seeds=[1], data_dir=str(tmp_path))

    def change(done: int, total: int) -> None:
        if done == total:
            scores.write_bytes(whole + b"\n")

    with pytest.raises(
        UserError, match=r": data changed while it was measured, .* run the same command again"
    ):
        run_block(item.block, on_round=change)


def test_the_same_block_gives_the_same_quality_twice(store: Store) -> None:
    (item,) = planned(store, cases=["prediction"], seeds=[1])
    assert run_block(item.block).samples == run_block(item.block).samples


def test_a_block_whose_code_or_data_changed_since_it_was_planned_is_refused(store: Store) -> None:
    block = replace(planned(store, cases=["prediction"])[0].block, key="0" * 32)
    with pytest.raises(UserError, match="not what they were when the run was planned"):
        run_block(block)
