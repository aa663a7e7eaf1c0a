"""A release is whole, clean and read once more; what others measured stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from remeasure.data import hashes
from remeasure.records.record import Failure
from remeasure.records.store import Store
from toy.env import MIRROR

from .conftest import Cli, is_refusal

pytestmark = pytest.mark.alone

WHOLE = ("--system", "toysys", "--profile", "tiny")


@pytest.fixture
def measured(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """All of the toy system, on real data, by code of one commit."""
    shutil.copytree(MIRROR, tmp_path / "mirror")
    monkeypatch.setenv("REMEASURE_DATA", str(tmp_path / "mirror"))
    assert cli("run", *WHOLE).code == 0
    made_by(tmp_path, commit="f" * 40, dirty="")
    return cli


def made_by(tmp_path: Path, **provenance: str) -> None:
    """The records, as if other code had made them."""
    store = Store(tmp_path / "remeasure-results")
    for record in store.read_all():
        store.write(replace(record, provenance=replace(record.provenance, **provenance)))


def released(tmp_path: Path) -> list[str]:
    folder = tmp_path / "remeasure-results" / "releases"
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*.json") if "schemas" not in path.parts
    )


def test_a_release_of_another_profile_keeps_to_its_folder_and_says_how_whole_it_is(
    measured: Cli, tmp_path: Path
) -> None:
    said = measured("report", *WHOLE, "--release")
    assert said.code == 0, said.err
    assert "Complete: 3 of 3 blocks of toysys in profile tiny." in said.out
    assert released(tmp_path) == ["tiny/latest.json", "tiny/report.json"]


@pytest.mark.parametrize(
    "part", [("--case", "prediction"), ("--claim", "own-ratings-help"), ("--seed", "1"), ("--tag", "quick")]
)
def test_a_release_of_a_part_of_a_system_is_refused(
    measured: Cli, tmp_path: Path, part: tuple[str, str]
) -> None:
    said = measured("report", *WHOLE, *part, "--release")
    assert is_refusal(said) and "whole systems" in said.err
    assert released(tmp_path) == []


def test_a_case_that_did_not_run_is_named(measured: Cli, tmp_path: Path) -> None:
    (record,) = (tmp_path / "remeasure-results" / "runs" / "toysys" / "prediction").glob("*.json")
    record.unlink()
    said = measured("report", *WHOLE, "--release")
    assert is_refusal(said)
    assert "2 of 3 blocks are whole (not run: toysys/prediction seed 2022)" in said.err
    assert released(tmp_path) == []


@pytest.mark.parametrize(
    "spoilt,why",
    [
        ({"contract": "scores are not finite"}, "refused by its contract"),
        ({"failure": Failure(kind="memory", message="too large", log_tail="")}, "failed"),
        ({"budget_ended": True}, "cut short by the budget"),
    ],
)
def test_a_block_that_is_not_whole_is_named(
    measured: Cli, tmp_path: Path, spoilt: dict[str, object], why: str
) -> None:
    store = Store(tmp_path / "remeasure-results")
    record = next(record for record in store.read_all() if record.case == "prediction")
    store.write(replace(record, **spoilt))
    said = measured("report", *WHOLE, "--release")
    assert said.code == 2
    assert f"{why}: toysys/prediction" in said.err
    assert released(tmp_path) == []


def test_data_that_changed_under_a_remembered_hash_are_not_released(
    measured: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The release reads the files once more, whatever is remembered of them."""
    monkeypatch.setattr(hashes, "_read", lambda path, size: ("0" * 64, "0" * 40))
    said = measured("report", *WHOLE, "--release")
    assert said.code == 2
    assert "does not have the sha256 of its card" in said.err
    assert released(tmp_path) == []


def test_an_uncommitted_tree_is_not_released(measured: Cli, tmp_path: Path) -> None:
    made_by(tmp_path, dirty="d" * 64)
    said = measured("report", *WHOLE, "--release")
    assert said.code == 2
    assert "uncommitted" in said.err
    assert released(tmp_path) == []


def test_a_damaged_report_of_the_earlier_release_is_refused_before_anything_is_written(
    measured: Cli, tmp_path: Path
) -> None:
    folder = tmp_path / "remeasure-results" / "releases" / "tiny"
    folder.mkdir(parents=True)
    (folder / "report.json").write_text(json.dumps({"schema": 1}))
    said = measured("report", *WHOLE, "--release")
    assert said.code == 2 and "report.json is no report" in said.err
    assert released(tmp_path) == ["tiny/report.json"]
