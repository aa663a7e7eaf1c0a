"""`run` and what reads its records: `show`, `report`, `compare`, `export`, `plan`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from remeasure.cli import exits
from toy.env import MIRROR, variables

from .conftest import Cli, Said, is_refusal

PREDICTION = ("--system", "toysys", "--case", "prediction")
FAULTY = ("--system", "faulty", "--seed", "1")


@pytest.fixture
def done(cli: Cli) -> Said:
    """A run of one case of three seeds."""
    return cli("run", *PREDICTION)


def test_run_measures_judges_and_writes_the_page(done: Said, tmp_path: Path) -> None:
    assert done.code == exits.OK
    assert "toysys/own-ratings-help" in done.out and "reproduced" in done.out
    assert done.out.splitlines()[-1] == "The page is site/index.html."
    assert {path.name for path in (tmp_path / "site").iterdir()} >= {"index.html", "report.md", "report.json"}
    assert len(list((tmp_path / "remeasure-results" / "runs" / "toysys" / "prediction").glob("*.json"))) == 3


def test_run_is_one_line_a_block_where_nobody_watches(done: Said) -> None:
    lines = [line for line in done.err.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == ["[1/3", "[2/3", "[3/3"]
    assert "\x1b" not in done.err + done.out


def test_what_is_finished_is_not_measured_again(done: Said, cli: Cli) -> None:
    again = json.loads(cli("run", *PREDICTION, "--json").out)
    assert (len(again["cached"]), again["done"], again["failed"], again["not_started"]) == (3, [], [], [])
    assert all(block["cached"] for block in json.loads(cli("plan", *PREDICTION, "--json").out))
    assert "0 of 3 blocks to run" in cli("plan", *PREDICTION).err


def test_show_says_how_the_number_is_repeated(done: Said, cli: Cli) -> None:
    said = cli("show", "own-ratings-help")
    assert said.code == 0
    facts = dict(line.split(None, 1) for line in said.out.splitlines())
    assert facts["verdict"] == "reproduced"
    assert facts["repeat"].startswith("remeasure run --system toysys --case prediction")
    assert "simulated data" in facts["evidence"]
    judged = json.loads(cli("show", "own-ratings-help", "--json").out)
    assert judged["lo"] < judged["estimate"] < judged["hi"]


def test_the_command_that_show_prints_finds_the_same_records(done: Said, cli: Cli) -> None:
    command = json.loads(cli("show", "own-ratings-help", "--json").out)["command"]
    assert len(json.loads(cli(*command.split()[1:], "--json").out)["cached"]) == 3


def test_seeds_beyond_the_profiles_count_only_where_they_are_named(done: Said, cli: Cli) -> None:
    before = json.loads(cli("show", "own-ratings-help", "--json").out)
    assert cli("run", *PREDICTION, "--seed", "77").code == exits.OK
    after = json.loads(cli("show", "own-ratings-help", "--json").out)
    assert (after["seeds"], after["beyond"]) == (before["seeds"], "")
    only = json.loads(cli("show", "own-ratings-help", "--seed", "77", "--json").out)
    assert (only["seeds"], only["beyond"]) == ([77], "--seed")
    named = cli("report", *PREDICTION, "--seed", "1", "--seed", "77")
    assert "Seeds beyond the profile's, by --seed: toysys/prediction." in named.err


@pytest.mark.parametrize("claim", ["three-times-faster", "on-the-moon", "loop-ends"])
def test_show_works_for_a_claim_that_never_ran(cli: Cli, claim: str) -> None:
    said = cli("show", claim)
    assert (said.code, said.err) == (0, "")
    assert f"toysys/{claim}" in said.out


def test_report_writes_the_page_again_without_measuring(done: Said, cli: Cli, tmp_path: Path) -> None:
    page = tmp_path / "site" / "index.html"
    first = page.read_bytes()
    page.unlink()
    said = cli("report", *PREDICTION)
    assert said.code == 0
    assert page.read_bytes() == first


def test_compare_sets_two_reports_side_by_side(done: Said, cli: Cli, tmp_path: Path) -> None:
    kept = tmp_path / "earlier.json"
    report = json.loads((tmp_path / "site" / "report.json").read_text())
    for claim in report["claims"]:
        if claim["id"] == "own-ratings-help":
            claim["verdict"]["word"] = "contradicted"
    kept.write_text(json.dumps(report))
    rows = json.loads(cli("compare", kept, tmp_path / "site", "--json").out)
    changed = {row["name"]: row["change"] for row in rows if row["change"]}
    assert changed == {"toysys/own-ratings-help": "verdict changed"}
    assert "verdict changed" in cli("compare", kept, "this").out


def test_compare_without_a_release_is_refused(cli: Cli) -> None:
    said = cli("compare")
    assert is_refusal(said)
    assert "no release" in said.err


@pytest.mark.parametrize("name", ["no-such-run", "0123abcd", "."])
def test_compare_with_what_is_no_run_is_refused(cli: Cli, name: str) -> None:
    assert is_refusal(cli("compare", name, name))


@pytest.mark.parametrize("format_", ["jsonl", "csv", "parquet"])
def test_export_writes_every_sample(done: Said, cli: Cli, format_: str, tmp_path: Path) -> None:
    import remeasure

    said = cli("export", "--format", format_, "--out", tmp_path / f"all.{format_}")
    assert said.code == 0
    exported = remeasure.load(tmp_path / f"all.{format_}")
    assert len(exported) == len(remeasure.load(tmp_path / "remeasure-results"))


def test_export_refuses_what_it_cannot_do(cli: Cli) -> None:
    assert is_refusal(cli("export"))  # nothing has run
    assert is_refusal(cli("export", "--format", "csv", "--out", "samples.parquet"))


def test_a_named_verdict_ends_with_its_own_code(cli: Cli) -> None:
    assert cli("run", *PREDICTION, "--fail-on", "contradicted,not-reproduced").code == exits.OK
    said = cli("run", *PREDICTION, "--fail-on", "contradicted,reproduced")
    assert said.code == exits.FAIL_ON
    assert "toysys/own-ratings-help is reproduced" in said.err


@pytest.mark.parametrize("words", ["reprodused", "", ","])
def test_a_verdict_that_does_not_exist_is_refused_before_anything_runs(
    cli: Cli, words: str, tmp_path: Path
) -> None:
    assert is_refusal(cli("run", *PREDICTION, "--fail-on", words))
    assert not list(tmp_path.iterdir())


def test_a_failed_block_ends_with_code_1_and_is_shown(cli: Cli, tmp_path: Path) -> None:
    said = cli("run", *FAULTY, "--set", "fault=raise")
    assert said.code == exits.BLOCK_FAILED
    assert "Traceback" not in said.err
    assert "planted fault" in (tmp_path / "site" / "index.html").read_text()


@pytest.mark.alone
def test_a_budget_that_ends_is_said_and_the_same_call_goes_on(cli: Cli) -> None:
    call = ("run", "--system", "faulty", "--jobs", "1", "--set", "seconds=0.4")
    said = cli(*call, "--budget", "0.1s")
    assert said.code == exits.BUDGET_ENDED
    assert "The budget ended" in said.err
    assert cli(*call).code == exits.OK


@pytest.mark.parametrize("budget", ["soon", "0s", "-1m", "1d"])
def test_a_budget_that_is_no_duration_is_refused(cli: Cli, budget: str) -> None:
    assert is_refusal(cli("run", *PREDICTION, "--budget", budget))


def test_own_data_are_measured_and_their_folder_is_written_nowhere(cli: Cli, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "scores.tsv").write_bytes((MIRROR / "toydata" / "scores.tsv").read_bytes())
    said = cli("run", *PREDICTION, "--set", f"data={folder}", "--set", "users=50", "--seed", "1")
    assert said.code == exits.OK
    written = [path for base in ("site", "remeasure-results") for path in (tmp_path / base).rglob("*.*")]
    assert not [path for path in written if path.is_file() and str(folder) in path.read_text(errors="ignore")]
    assert "real data" in said.out


@pytest.mark.alone
def test_control_c_keeps_what_is_finished_and_says_how_to_go_on(tmp_path: Path) -> None:
    environment = {**os.environ, **variables(tmp_path / "cache")}
    command = [sys.executable, "-m", "remeasure", "run", "--system", "faulty", "--jobs", "1"]
    with subprocess.Popen(
        [*command, "--set", "seconds=1.5"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        finished = tmp_path / "remeasure-results" / "runs" / "faulty" / "fragile"
        end = time.monotonic() + 60
        while time.monotonic() < end and not list(finished.glob("*.json")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.stderr
        said = process.stderr.read()
        assert process.wait(30) == exits.INTERRUPTED
    assert "interrupted; 1 of 2 blocks are finished and kept" in said
    assert "Traceback" not in said
    assert len(list(finished.glob("*.json"))) == 1
