"""The small parts: durations, places, the time that is left, verdict words."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.cli import fail_on, progress
from remeasure.cli.options import seconds
from remeasure.cli.places import places, project_root, shown
from remeasure.errors import UserError
from remeasure.running.blocks import Block, Planned


def planned(case: str, last: float | None, *, timed: bool = False, cached: bool = False) -> Planned:
    block = Block("s", case, 1, "smoke", {}, None, 1, key=case)
    return Planned(block, cached=cached, last_seconds=last, timed=timed, timeout_s=1, memory_mb=1)


@dataclass
class Clock:
    now: float = field(default=0.0)

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("text", "value"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1.5h", 5400), ("45", 45)]
)
def test_durations_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@given(st.text(max_size=6))
def test_no_text_is_taken_for_an_endless_or_negative_duration(text: str) -> None:
    with suppress(UserError):
        assert 0 < seconds(text) < float("inf")


def test_timed_blocks_wait_for_each_other_and_others_do_not() -> None:
    items = [planned("a", 10), planned("b", 10), planned("c", 10, timed=True), planned("d", 10, cached=True)]
    assert progress.Estimate(items, jobs=2).left() == 20


def test_nothing_is_estimated_from_nothing() -> None:
    assert progress.Estimate([planned("a", 10), planned("b", None)], jobs=1).left() is None


def test_what_runs_counts_down_and_what_ran_corrects() -> None:
    clock = Clock()
    items = [planned("a", 10), planned("a2", 99)]
    items = [items[0], Planned(Block("s", "a", 2, "smoke", {}, None, 1, "a2"), False, 10, False, 1, 1)]
    estimate = progress.Estimate(items, jobs=1, clock=clock)
    estimate.started(items[0].block)
    clock.now = 4
    assert estimate.left() == 16
    estimate.finished(items[0].block, 6)
    assert estimate.left() == 6


def test_durations_are_said_as_a_person_says_them() -> None:
    assert [progress.duration(s) for s in (5, 300, 7200)] == ["5 s", "5 min", "2.0 h"]


def test_short_forms_of_verdicts() -> None:
    assert fail_on.parse("contradicted, invalid") == {"contradicted", "invalid run"}
    assert fail_on.parse("not-reproduced") == {"not reproduced"}
    assert fail_on.parse("reproduced") == {"reproduced"}
    assert fail_on.parse(None) == frozenset()


def test_a_short_form_that_means_two_verdicts_is_refused() -> None:
    with pytest.raises(UserError, match="not-reproduced"):
        fail_on.parse("not")


def test_records_go_into_the_checkout_from_anywhere_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "remeasure"\n')
    inside = tmp_path / "impls" / "mine"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    where = places()
    assert (where.root, where.results, where.site) == (tmp_path, tmp_path / "results", tmp_path / "site")


@pytest.mark.parametrize("pyproject", ["", "[project]\nname = 'other'\n", "not toml ]", "project = 1"])
def test_another_project_is_no_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pyproject: str
) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)
    monkeypatch.chdir(tmp_path)
    assert project_root() is None
    where = places()
    assert (where.results, where.site) == (tmp_path / "remeasure-results", tmp_path / "site")
    assert shown(where.site) == "site"


def test_named_results_keep_their_page_inside(tmp_path: Path) -> None:
    assert places(tmp_path / "mine").site == tmp_path / "mine" / "site"
    assert places(tmp_path / "mine", tmp_path / "page").site == tmp_path / "page"
