"""A release of one system keeps what the earlier one says of the others."""

from __future__ import annotations

import msgspec
import pytest

from remeasure.judging.judged import Report
from remeasure.report.kept import read_report, with_kept
from report.sample import sample

PARTS = ("claims", "cases", "noise", "failures", "figures")


def of(report: Report, *names: str) -> Report:
    """The report as it would be of these systems alone."""
    rows = {part: [row for row in getattr(report, part) if row.system in names] for part in PARTS}
    return msgspec.structs.replace(
        report, systems=[row for row in report.systems if row.name in names], notes=[], **rows
    )


@pytest.fixture
def whole() -> Report:
    systems = [
        msgspec.structs.replace(row, commit="c" * 40, generated_from=row.name * 3) for row in sample().systems
    ]
    return msgspec.structs.replace(
        sample(),
        systems=systems,
        notes=["Simulated data: 3 cases of blockllm, opdai/growth ran on a generator."],
    )


def test_other_systems_keep_every_row(whole: Report) -> None:
    names = [row.name for row in whole.systems]
    assert len(names) > 1
    new = with_kept(of(whole, names[0]), whole)
    assert [row.name for row in new.systems] == sorted(names)
    for part in PARTS:
        rows = getattr(new, part)
        assert len(rows) == len(getattr(whole, part)), part
        assert {row.system for row in rows} == {row.system for row in getattr(whole, part)}, part


def test_what_both_have_is_the_new_ones(whole: Report) -> None:
    new = of(whole, "opdai")
    fewer = msgspec.structs.replace(new, claims=new.claims[:1], figures=[])
    made = with_kept(fewer, whole)
    assert [row for row in made.claims if row.system == "opdai"] == fewer.claims
    assert not [row for row in made.figures if row.system == "opdai"]


def test_a_system_that_the_new_one_lists_but_did_not_measure_is_kept(whole: Report) -> None:
    listed = [
        row if row.name == "opdai" else msgspec.structs.replace(row, commit="") for row in whole.systems
    ]
    new = msgspec.structs.replace(whole, systems=listed, figures=[])
    made = with_kept(new, whole)
    assert {row.name for row in made.systems if row.commit} == {row.name for row in whole.systems}
    assert {row.system for row in made.figures} == {row.system for row in whole.figures} - {"opdai"}


def test_earlier_sentences_say_from_when_they_are_and_once(whole: Report) -> None:
    once = with_kept(of(whole, "opdai"), whole)
    assert once.notes == [f"Of the release of {whole.date}: {whole.notes[0]}"]
    assert with_kept(of(whole, "opdai"), once).notes == once.notes
    gone = msgspec.structs.replace(whole, notes=["One seed: opdai/growth."])
    assert with_kept(of(whole, "opdai"), gone).notes == []


def test_the_same_release_again_changes_nothing(whole: Report) -> None:
    once = with_kept(of(whole, "opdai"), whole)
    assert with_kept(of(whole, "opdai"), once) == once
    assert once.generated_from != of(whole, "opdai").generated_from


def test_environments_of_kept_rows_are_kept(whole: Report) -> None:
    """Those of this run stay too, whatever they stand for."""
    bare = msgspec.structs.replace(of(whole, "opdai"), environments={})
    used = {row.environment for row in whole.cases if row.system != "opdai"} & set(whole.environments)
    assert used and used <= set(with_kept(bare, whole).environments)


def test_without_an_earlier_report_it_stays_as_it_is(whole: Report, tmp_path) -> None:
    assert with_kept(whole, read_report(tmp_path / "report.json")) is whole
