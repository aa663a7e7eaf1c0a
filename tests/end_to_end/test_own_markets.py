"""A user's own markets: any names, any number, and the run ends with the same report."""

import json
from pathlib import Path

import pytest

from remeasure.cli.app import run
from remeasure.datasets.xmrec.generator import Generator, generate
from remeasure.datasets.xmrec.write import write_markets

pytestmark = pytest.mark.alone


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REMEASURE_RESULTS", raising=False)
    size = Generator(
        ("lisbon", "rome"), ("oslo",), users=1_000, items=380, topics=16, skew=0.3, sharpness=3.0
    )
    write_markets(generate(size), tmp_path / "mine")
    return tmp_path


def measure(*settings: str) -> int:
    words = ["run", "--system", "opdai", "--case", "prerank-speed", "--profile", "tiny"]
    return run([*words, *(word for setting in settings for word in ("--set", setting))])


def test_own_markets_run_and_end_with_a_report_that_calls_them_real_and_unhashed(own: Path) -> None:
    assert measure("data=mine", "target=oslo") == 0
    assert (own / "site" / "index.html").is_file()
    rows = json.loads((own / "site" / "report.json").read_text())["cases"]
    assert {(row["data"], row["data_label"]) for row in rows} == {
        ("real", "oslo (official lists) (your own files)")
    }
    assert all("--set data=DIR" in row["command"] and str(own) not in row["command"] for row in rows)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (("data=mine", "target=atlantis"), "atlantis"),
        (("data=nowhere", "target=oslo"), "nowhere"),
        (("data=mine", "target=oslo", "colour=red"), "colour"),
    ],
)
def test_what_the_markets_do_not_have_is_one_sentence(
    own: Path, settings: tuple[str, ...], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert measure(*settings) in (1, 2)
    said = capsys.readouterr()
    assert (
        named in said.err + (own / "site" / "report.md").read_text()
        if (own / "site").exists()
        else named in said.err
    )
    assert "Traceback" not in said.err + said.out
