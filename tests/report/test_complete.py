"""What is whole enough to be released: every planned block, run to its end, by code that its contract accepts."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from records_factory import SYSTEM, case, failure, record

from remeasure.contracts import At, Case
from remeasure.errors import UserError
from remeasure.records.record import Record
from remeasure.report.complete import completeness
from remeasure.running.blocks import Block, Planned

WHOLE = {"CPU seconds": {"slow": [1.0], "ours": [0.5]}}


def blocks(*seeds: int, name: str = "speed", system: str = SYSTEM) -> list[Planned]:
    return [
        Planned(
            Block(system, name, seed, "smoke", {}, None, 1, f"{name}-{seed}"), False, None, True, 60.0, 100.0
        )
        for seed in seeds
    ]


def said(planned: Sequence[Planned], records: Sequence[Record], *cases: Case) -> str:
    found: Any = SimpleNamespace(cases=lambda: list(cases or (case(),)))
    return completeness(found, planned, records)


def test_a_run_of_whole_blocks_is_complete() -> None:
    done = [record(WHOLE, seed) for seed in (1, 2)]
    assert said(blocks(1, 2), done) == f"Complete: 2 of 2 blocks of {SYSTEM} in profile smoke."
    assert said(blocks(1), done) == f"Complete: 1 of 1 blocks of {SYSTEM} in profile smoke."
    other = [*blocks(1), *blocks(2, system="another")]
    assert said(other, done) == f"Complete: 2 of 2 blocks of another, {SYSTEM} in profile smoke."


def test_cases_of_these_systems_that_do_not_declare_the_profile_are_named() -> None:
    standard = {"standard": At()}
    cases = [case(), *(case(name, profiles=standard) for name in ("queue", "cost"))]
    cases.append(case("far", profiles=standard, system="another"))
    assert said(blocks(1), [record(WHOLE)], *cases) == (
        f"Complete: 1 of 1 blocks of {SYSTEM} in profile smoke; "
        f"by declaration not in it: {SYSTEM}/cost, {SYSTEM}/queue."
    )


@pytest.mark.parametrize(
    ("second", "why"),
    [
        ([], "not run"),
        ([failure(2)], "failed"),
        ([record(WHOLE, 2, contract="It asks no question.")], "refused by its contract"),
        ([record(WHOLE, 2, budget_ended=True)], "cut short by the budget"),
    ],
)
def test_a_block_that_is_not_whole_is_named_with_why(second: list[Record], why: str) -> None:
    with pytest.raises(UserError) as error:
        said(blocks(1, 2), [record(WHOLE), *second])
    assert str(error.value) == (
        f"1 of 2 blocks are whole ({why}: {SYSTEM}/speed seed 2); measure the rest with `remeasure run`. "
        "Nothing was released."
    )


@pytest.mark.parametrize(("missing", "rest"), [(6, ""), (7, " and 1 more"), (9, " and 3 more")])
def test_six_blocks_of_a_kind_are_named_and_the_others_counted(missing: int, rest: str) -> None:
    names = ", ".join(f"{SYSTEM}/speed seed {seed}" for seed in range(1, 7))
    with pytest.raises(UserError) as error:
        said([*blocks(*range(1, missing + 1)), *blocks(99)], [failure(99)])
    assert (
        f"0 of {missing + 1} blocks are whole (not run: {names}{rest}; failed: {SYSTEM}/speed seed 99)"
        in str(error.value)
    )
