"""Bad input is one sentence and exit code 2: it names the file and says what to do, and nothing is lost."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from toy.env import use_toy

from .conftest import Cli, is_refusal

ONE = ("--system", "toysys", "--case", "prediction", "--seed", "1")


def a_record(tmp_path: Path) -> Path:
    (path,) = (tmp_path / "remeasure-results" / "runs" / "toysys" / "prediction").glob("*.json")
    return path


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def foreign_version(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": 99}))


def divided_by_ten(path: Path) -> None:
    record = json.loads(path.read_text())
    record["samples"] = {
        metric: {arm: [value / 10 for value in values] for arm, values in arms.items()}
        for metric, arms in record["samples"].items()
    }
    path.write_text(json.dumps(record))


def unknown_key(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), "surprise": 1}))


@pytest.mark.parametrize("damage", [cut_short, foreign_version, divided_by_ten, unknown_key])
def test_a_damaged_record_is_named_and_kept(cli: Cli, tmp_path: Path, damage: Callable[[Path], None]) -> None:
    assert cli("run", *ONE).code == 0
    path = a_record(tmp_path)
    damage(path)
    before = path.read_bytes()
    looking = (
        ("report", *ONE),
        ("export",),
        ("compare", "this", "this"),
        ("show", "toysys/own-ratings-help"),
    )
    for command in looking:
        said = cli(*command)
        assert is_refusal(said), command
        assert path.name in said.err, command
    assert path.read_bytes() == before, "what is bad is never moved"
    assert cli("plan", *ONE).code == 0
    said = cli("run", *ONE)
    assert said.code == 0
    assert "Left out: " in said.err and path.name in said.err
    assert path.read_bytes() != before
    assert cli("report", *ONE).code == 0


def test_results_that_are_no_folder_are_refused(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    said = cli("run", *ONE, "--results", "results")
    assert is_refusal(said)
    assert "results" in said.err


def test_a_page_that_cannot_be_written_is_refused_and_records_are_kept(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file")
    said = cli("run", *ONE)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert a_record(tmp_path).is_file()


def test_a_malformed_claims_file_is_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared_cache: Path
) -> None:
    import toy

    package = tmp_path / "spoilt"
    shutil.copytree(Path(toy.__file__).parent / "systems" / "toysys", package / "mine")
    (package / "__init__.py").touch()
    cases = package / "mine" / "cases.py"
    cases.write_text(cases.read_text().replace("from ...datasets", "from toy.datasets"))
    claims = package / "mine" / "claims.toml"
    claims.write_text(claims.read_text().replace('kind = "ratio"', 'kind = "guess"', 1))
    monkeypatch.syspath_prepend(tmp_path)
    use_toy(monkeypatch, shared_cache)
    monkeypatch.setenv("REMEASURE_SYSTEMS", "spoilt.mine")
    for command in (["list"], ["claims"], ["run", "--system", "mine"], ["show", "mine/three-times-faster"]):
        said = cli(*command)
        assert is_refusal(said), command
        assert "claims.toml" in said.err


def test_a_release_that_is_damaged_is_named(cli: Cli, tmp_path: Path) -> None:
    release = tmp_path / "remeasure-results" / "releases" / "latest.json"
    release.parent.mkdir(parents=True)
    release.write_text("{")
    said = cli("compare")
    assert is_refusal(said)
    assert "latest.json" in said.err


def test_a_package_that_is_missing_is_said_once_before_anything_runs(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def without(name: str) -> str:
        if name == "numpy":
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    said = cli("run", *ONE)
    sentence = (
        "toysys needs numpy, not installed here: say `pip install 'remeasure[models]'`, in a clone `make`."
    )
    assert said.err.count(sentence) == 1
    assert said.err.index(sentence) < said.err.index("toysys/prediction seed 1: ")
    doctor = cli("doctor")
    assert "needs numpy, not installed" in doctor.out


def test_every_distinct_failure_is_printed_with_its_first_line(cli: Cli) -> None:
    said = cli("run", "--system", "faulty", "--set", "fault=raise")
    assert said.code == 1
    assert said.err.count("faulty/fragile: RuntimeError: planted fault") == 1
    assert "Traceback" not in said.err


def test_outside_a_clone_nothing_advises_what_is_then_refused(cli: Cli) -> None:
    said = cli("compare")
    assert is_refusal(said)
    assert "report --release" not in said.err and "in a clone" in said.err
