"""The committed mutation run: enough was found, what survived has a reason, and the page says what the results say."""

from __future__ import annotations

from mutants.results import KEPT, Result, Survivor, keep_reasons, read
from mutants.scope import LEAST_KILLED, MODULES, ROOT, source
from mutants.table import PAGE, with_table, without_warnings

FOUND = [found for module in MODULES if (found := read(module))]


def test_every_module_of_the_run_is_there() -> None:
    assert [module for module in MODULES if not (ROOT / source(module)).exists()] == []
    assert {path.stem for path in KEPT.glob("*.json")} <= set(MODULES)


def test_the_tests_find_nearly_every_mutant() -> None:
    assert [(one.module, round(one.share, 3)) for one in FOUND if one.share < LEAST_KILLED] == []


def test_every_survivor_has_a_reason() -> None:
    silent = [(one.module, mutant.line) for one in FOUND for mutant in one.survivors if not mutant.reason]
    assert silent == [], "say in results/mutants/ why each may live"


def test_the_counts_of_a_result_add_up() -> None:
    assert [
        one.module for one in FOUND if one.killed + one.timed_out + len(one.survivors) != one.mutants
    ] == []


def test_the_page_shows_the_committed_results() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert without_warnings(page) == without_warnings(with_table(page, FOUND)), (
        "run `PYTHONPATH=tests python -m mutants table`"
    )


def survivor(line: int, before: str, reason: str = "") -> Survivor:
    return Survivor(
        operator="AddNot", function="f", line=line, before=before, after="y", tests=1, reason=reason
    )


def test_a_reason_stays_with_its_mutant_when_lines_move() -> None:
    again = [survivor(19, "b"), survivor(20, "a"), survivor(30, "a"), survivor(40, "c")]
    keep_reasons(again, [survivor(1, "a", "first"), survivor(2, "a", "second"), survivor(3, "b", "other")])
    assert [one.reason for one in again] == ["other", "first", "second", ""]


def test_a_module_without_mutants_is_wholly_found() -> None:
    empty = Result(
        module="m",
        commit="",
        source_sha256="",
        tests_sha256="",
        mutants=0,
        killed=0,
        timed_out=0,
        cpu_s=0,
        survivors=[],
    )
    assert empty.share == 1.0
