"""`--set ratings=DIR`, a data card's word for files of one's own: which cases run, and what records say of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remeasure.cli import exits
from remeasure.data.own_data import OwnData
from toy.env import MIRROR

from .conftest import Cli, Said, is_refusal

ONE = ("--case", "toysys/prediction", "--seed", "1", "--profile", "tiny")
OTHER = ("--case", "opdai/prerank-speed")
PUBLISHED = MIRROR / "toydata" / "scores.tsv"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder whose file is called like the published one and is another."""
    folder = tmp_path / "mine"
    folder.mkdir()
    lines = PUBLISHED.read_text().splitlines(keepends=True)
    (folder / "scores.tsv").write_text("".join(lines[:60]))
    return folder


def records(tmp_path: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in tmp_path.glob("remeasure-results/runs/*/*/*.json")]


def check_left_out(cli: Cli, tmp_path: Path) -> None:
    """The cases of the card's data set run, those on other data do not, and that is said."""
    said = cli("run", *ONE, *OTHER, "--set", "ratings=mine")
    assert {record["case"] for record in records(tmp_path)} == {"prediction"}
    assert said.code == exits.OK
    assert "--set ratings: mine stands for toydata; 1 case on other data is left out." in said.err


def test_cases_on_other_data_are_left_out_with_a_sentence(cli: Cli, mine: Path, tmp_path: Path) -> None:
    check_left_out(cli, tmp_path)
    planned = cli("plan", *ONE, *OTHER, "--set", "ratings=mine")
    assert "1 case on other data is left out" in planned.err and "opdai" not in planned.out
    assert "left out" not in cli("plan", *ONE, "--set", "ratings=mine").err


def test_the_check_finds_a_word_that_selects_nothing(
    cli: Cli, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OwnData, "serves", lambda self, case: True)
    with pytest.raises(AssertionError):
        check_left_out(cli, tmp_path)


def test_records_call_the_files_the_users_own(cli: Cli, mine: Path, tmp_path: Path) -> None:
    assert cli("run", *ONE, "--set", "ratings=mine").code == exits.OK
    (record,) = records(tmp_path)
    data = record["data"]
    assert (data["kind"], data["origin"], data["verified"]) == ("real", "directory", False)
    assert data["label"] == "first 30 users of scores.tsv (your own files)"
    assert record["overrides"] == {}
    assert record["provenance"]["command"].endswith("--set data=DIR")
    assert str(mine) not in json.dumps(record)


def test_own_files_are_told_from_the_published_ones_and_from_each_other(
    cli: Cli, mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMEASURE_DATA", str(MIRROR))
    shutil.copytree(mine, tmp_path / "copy")
    shutil.copytree(mine, tmp_path / "longer")
    shutil.copy(PUBLISHED, tmp_path / "longer")
    for words in (["--set", "ratings=mine"], ["--set", "ratings=copy"], ["--set", "ratings=longer"], []):
        assert cli("run", *ONE, *words).code == exits.OK
    found = records(tmp_path)
    assert len({record["data"]["sha256"] for record in found}) == 2  # longer has the published file
    assert sorted((r["data"]["origin"], r["data"]["verified"]) for r in found) == [
        ("REMEASURE_DATA", True),
        ("directory", False),
        ("directory", False),
    ]


def test_a_report_has_own_files_only_where_they_are_asked_for(cli: Cli, mine: Path, tmp_path: Path) -> None:
    assert cli("run", *ONE, "--set", "ratings=mine").code == exits.OK
    shown = {}
    for words in ([], ["--set", "ratings=mine"], ["--set", "data=mine"]):
        said = cli("report", "--system", "toysys", "--profile", "tiny", *words)
        assert said.code == exits.OK
        shown[" ".join(words)] = json.loads((tmp_path / "site" / "report.json").read_text())["cases"]
    assert not shown[""]
    assert shown["--set ratings=mine"] == shown["--set data=mine"] != []


def test_a_report_about_one_folder_has_no_records_of_another(cli: Cli, mine: Path, tmp_path: Path) -> None:
    shutil.copytree(MIRROR / "toydata", tmp_path / "other")
    assert cli("run", *ONE, "--set", "ratings=mine").code == exits.OK
    assert cli("report", *ONE, "--set", "ratings=other").code == exits.OK
    assert not json.loads((tmp_path / "site" / "report.json").read_text())["cases"]
    moved = mine.rename(tmp_path / "moved")
    assert cli("report", *ONE, "--set", f"ratings={moved}").code == exits.OK
    assert json.loads((tmp_path / "site" / "report.json").read_text())["cases"]


def test_own_files_are_not_released(cli: Cli, mine: Path, tmp_path: Path) -> None:
    assert cli("run", *ONE, "--set", "ratings=mine").code == exits.OK
    said = cli("report", *ONE, "--set", "ratings=mine", "--release")
    assert is_refusal(said) and "without --set" in said.err
    assert not (tmp_path / "remeasure-results" / "releases").exists()


def empty(folder: Path) -> None:
    (folder / "scores.tsv").unlink()


def other_name(folder: Path) -> None:
    (folder / "scores.tsv").rename(folder / "points.tsv")


@pytest.mark.parametrize(
    ("words", "spoil", "sentence"),
    [
        (["ratings=nowhere"], None, "nowhere is no folder; name the one that holds the files"),
        (["ratings=mine/scores.tsv"], None, "is a file; name the folder it lies in"),
        (["ratings=mine", "data=mine"], None, "--set ratings and --set data both name files of your own"),
        (["ratings=mine"], empty, "mine has no known layout; put there scores.tsv with a header"),
        (["ratings=mine"], other_name, "mine/scores.tsv is missing; give a folder that holds it"),
    ],
)
def test_a_folder_that_cannot_serve_is_refused_before_anything_is_written(
    cli: Cli,
    mine: Path,
    tmp_path: Path,
    words: list[str],
    spoil: Callable[[Path], None] | None,
    sentence: str,
) -> None:
    if spoil:
        spoil(mine)
    said = refused(cli, words)
    assert sentence in said.err
    assert not (tmp_path / "remeasure-results").exists() and not (tmp_path / "site").exists()


def test_a_selection_without_a_case_for_the_files_is_refused(cli: Cli, mine: Path) -> None:
    said = cli("run", *OTHER, "--profile", "tiny", "--set", "ratings=mine")
    assert is_refusal(said) and "no case of that selection is about toydata in profile tiny" in said.err


def refused(cli: Cli, words: list[str]) -> Said:
    said = cli("run", *ONE, *(part for word in words for part in ("--set", word)))
    assert is_refusal(said)
    return said


def test_a_block_refused_for_what_was_set_says_its_sentence(cli: Cli, tmp_path: Path) -> None:
    said = cli("run", "--system", "faulty", "--set", "fault=bad-input")
    assert said.code == exits.BLOCK_FAILED
    assert (
        said.err.splitlines().count("faulty/fragile: toydata is not what the case needs; planted fault.") == 1
    )
    assert {record["failure"]["kind"] for record in records(tmp_path)} == {"bad-input"}
    assert "Traceback" not in said.err + said.out + json.dumps(records(tmp_path))
