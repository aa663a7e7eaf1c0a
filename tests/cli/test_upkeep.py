"""`clean`, `doctor` and `dataset`."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from remeasure.cli import exits
from remeasure.cli.upkeep import size
from remeasure.doctor import locks, versions_that_differ
from remeasure.records.clean import removables, remove
from toy.env import MIRROR

from .conftest import Cli, is_refusal


@pytest.fixture
def full(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Results and a cache with something of every kind."""
    results, cache = tmp_path / "remeasure-results", tmp_path / "cache"
    for path in (
        "runs/toysys/prediction/a.json",
        "runs/logs/a.log",
        "environments/b.json",
        "releases/latest.json",
    ):
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).write_text("12345")
    for path in ("data/toydata/scores.tsv", "contracts/c.json"):
        (cache / path).parent.mkdir(parents=True, exist_ok=True)
        (cache / path).write_text("123")
    monkeypatch.setenv("REMEASURE_CACHE", str(cache))
    return cli


def listed(said: str) -> dict[str, int]:
    return {row["what"]: row["bytes"] for row in json.loads(said)}


def test_clean_lists_runs_logs_and_caches_with_their_sizes(full: Cli) -> None:
    assert listed(full("clean", "--json").out) == {
        "records of toysys": 5,
        "environment records": 5,
        "logs of workers": 5,
        "cached contracts": 3,
        "cached data/toydata": 3,
    }


def test_clean_removes_nothing_without_yes(full: Cli) -> None:
    before = full("clean", "--json").out
    assert "--yes" in full("clean").err
    assert full("clean", "--json").out == before


def test_clean_removes_only_what_was_chosen_and_never_a_release(full: Cli, tmp_path: Path) -> None:
    full("clean", "--logs", "--yes")
    assert set(listed(full("clean", "--json").out)) == {
        "records of toysys",
        "environment records",
        "cached contracts",
        "cached data/toydata",
    }
    full("clean", "--yes")
    assert listed(full("clean", "--json").out) == {}
    assert (tmp_path / "remeasure-results" / "releases" / "latest.json").is_file()


def test_clean_does_not_follow_a_link_out_of_the_cache(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("kept")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "linked").symlink_to(precious)
    remove(removables(tmp_path / "results", cache))
    assert (precious / "data").read_text() == "kept"


def test_sizes_are_said_as_a_person_reads_them() -> None:
    assert [size(0), size(999), size(1536), size(3 << 30)] == ["0 B", "999 B", "1.5 kB", "3.0 GB"]


def test_doctor_looks_at_everything_a_run_needs(cli: Cli) -> None:
    checks = {row["check"]: row for row in json.loads(cli("doctor", "--json").out)}
    assert set(checks) >= {
        *("python", "packages", "data toydata", "browser", "cores", "load", "threads", "disk"),
        *("results", "cache", "commit"),
    }
    assert "simulated" in checks["data toydata"]["detail"]


def test_doctor_fails_where_a_run_could_not_write(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REMEASURE_DATA", str(tmp_path / "nowhere"))
    said = cli("doctor")
    assert said.code == exits.BAD_INPUT
    assert "correct it or unset it" in said.out


def test_doctor_names_packages_that_are_not_the_locked_ones() -> None:
    installed = {"torch": "2.13.0+cpu", "numpy": "2.5.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    text = "# a lock\ntorch==2.13.0\nnumpy==2.4.6\nabsent==1\n"
    assert versions_that_differ(text, version) == ["numpy 2.4.6 → 2.5.0"]
    assert locks(text) == {"torch": "2.13.0", "numpy": "2.4.6", "absent": "1"}


def test_dataset_list_says_which_copy_serves(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def serves() -> str:
        rows = json.loads(cli("dataset", "list", "--json").out)
        return str({row["name"]: row["serves"] for row in rows}["toydata"])

    assert serves() == "simulator"
    monkeypatch.setenv("REMEASURE_DATA", str(MIRROR))
    assert serves() == "real, from REMEASURE_DATA"


def test_dataset_fetch_leaves_a_mirror_alone(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMEASURE_DATA", str(MIRROR))
    said = cli("dataset", "fetch", "toydata")
    assert (said.code, said.out) == (0, "toydata: $REMEASURE_DATA has it.\n")


def test_dataset_verify_refuses_a_changed_file(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "mirror" / "toydata"
    copy.mkdir(parents=True)
    (copy / "scores.tsv").write_bytes((MIRROR / "toydata" / "scores.tsv").read_bytes())
    monkeypatch.setenv("REMEASURE_DATA", str(copy.parent))
    assert cli("dataset", "verify", "toydata").code == 0
    with (copy / "scores.tsv").open("ab") as file:
        file.write(b"0\t0\t0\t0\t0\t0\n")
    said = cli("dataset", "verify", "toydata")
    assert is_refusal(said)
    assert "scores.tsv" in said.err


def test_an_unknown_data_set_is_refused(cli: Cli) -> None:
    assert is_refusal(cli("dataset", "verify", "toydat"))
    assert is_refusal(cli("dataset", "fetch", "toydat"))
