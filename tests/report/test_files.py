"""The three files: golden, deterministic, complete, written all or none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec
import pytest

from remeasure.errors import UserError
from remeasure.judging.judged import Report
from remeasure.report import render
from report.regenerate import HERE, golden
from report.sample import large, sample, small

NAMES = ["index.html", "report.json", "report.md"]


@pytest.mark.parametrize("name", ["report.md", "index.html"])
def test_golden_file_is_what_the_code_writes(name: str) -> None:
    kept = (HERE / "golden" / name).read_text(encoding="utf-8")
    assert golden()[name] == kept, "run `python tests/report/regenerate.py` and read the diff"


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    first = [path.read_bytes() for path in render(sample(), tmp_path / "first")]
    again = msgspec.json.decode(msgspec.json.encode(sample()), type=Report)
    assert first == [path.read_bytes() for path in render(again, tmp_path / "again")]


def test_render_returns_the_three_files_and_leaves_no_other(tmp_path: Path) -> None:
    written = render(small(), tmp_path / "site")
    assert sorted(path.name for path in written) == NAMES
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == NAMES


def test_report_json_is_the_report(tmp_path: Path) -> None:
    render(sample(), tmp_path)
    assert msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Report) == sample()


def test_twenty_five_cases_stay_under_one_and_a_half_megabytes(tmp_path: Path) -> None:
    report = large()
    assert len({(case.system, case.case) for case in report.cases}) >= 25
    render(report, tmp_path)
    assert (tmp_path / "index.html").stat().st_size < 1_500_000


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_full_disk_leaves_the_old_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    render(small(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(*((os, "fsync") if broken == "fsync" else (Path, "replace")), full)
    with pytest.raises(UserError, match="No space left on device"):
        render(sample(), tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_file_in_the_folders_place_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        render(small(), tmp_path / "site")


def test_an_empty_report_renders(tmp_path: Path) -> None:
    nothing = msgspec.structs.replace(small(), systems=[], environments={}, claims=[], cases=[], figures=[])
    for path in render(nothing, tmp_path):
        assert path.stat().st_size
    assert "No claim of a paper was judged" in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_rendering_needs_no_numerical_library(tmp_path: Path) -> None:
    """The page is drawn by templates, so a report can be rendered where no system can run."""
    import subprocess

    code = (
        "import sys; from pathlib import Path;"
        "from report.sample import small; from remeasure.report import render;"
        f"render(small(), Path({str(tmp_path)!r}));"
        "print([m for m in ('numpy', 'pandas', 'torch', 'matplotlib') if m in sys.modules])"
    )
    root = HERE.parents[1]
    paths = os.pathsep.join([str(root / "src"), str(root / "tests")])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert done.stdout.strip() == "[]", done.stderr
