"""The contract, over every system, case and data set that discovery finds: the tool's own and the toy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from remeasure.contracts import Case
from remeasure.data.copies import cache_dir
from remeasure.declared.cards import DataCard
from remeasure.declared.registry import Registry, System, registry
from remeasure.running.contract_checks import (
    NEEDED_ROLES,
    PASSED,
    check_case,
    check_dataset,
    check_declaration,
    run_contract,
)
from toy.env import DATASETS, SYSTEMS, variables

TESTS = Path(__file__).parents[1]


def discovered() -> Registry:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REMEASURE_SYSTEMS", SYSTEMS)
        patch.setenv("REMEASURE_DATASETS", DATASETS)
        return registry()


FOUND = discovered()
ALL_CASES = FOUND.cases()
TOY_CASES = [case for case in ALL_CASES if case.system in ("toysys", "faulty")]
REAL_CASES = [case for case in ALL_CASES if case not in TOY_CASES]


@pytest.fixture(autouse=True)
def _discovered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy is found; the cache stays the user's, so that a case is run here or before a run, not both."""
    monkeypatch.setenv("REMEASURE_SYSTEMS", SYSTEMS)
    monkeypatch.setenv("REMEASURE_DATASETS", DATASETS)


def named(case: Case) -> str:
    return case.id


@pytest.mark.parametrize("case", ALL_CASES, ids=named)
def test_a_case_declares_what_the_contract_asks_for(case: Case) -> None:
    assert check_declaration(FOUND, case) == []


@pytest.mark.parametrize(
    "case", [case for case in ALL_CASES if case.system in ("toysys", "faulty")], ids=named
)
def test_a_toy_case_gives_comparable_finite_and_repeatable_numbers(case: Case) -> None:
    assert check_case(FOUND, case) == []


@pytest.mark.slow
@pytest.mark.parametrize("case", REAL_CASES, ids=named)
def test_a_case_gives_comparable_finite_and_repeatable_numbers(case: Case) -> None:
    assert run_contract(FOUND, case, cache_dir()) == PASSED


@pytest.mark.parametrize("system", [system for system in FOUND.systems.values() if system.name != "faulty"])
def test_a_system_is_measured_with_a_strawman_an_optimized_and_a_reference(system: System) -> None:
    roles = [{arm.role for arm in case.arms} for case in system.cases.values()]
    assert any(set(NEEDED_ROLES) <= of_case for of_case in roles)


@pytest.mark.parametrize("system", FOUND.systems.values(), ids=lambda system: system.name)
def test_the_claims_of_a_system_name_what_exists(system: System) -> None:
    claims = system.claims
    assert claims.title and claims.paper
    for claim in claims.claim:
        if claim.test:
            file, _, test = claim.test.partition("::")
            path = TESTS.parent / file
            assert path.is_file(), f"{claim.id}: {file} does not exist"
            name = test.split("::")[-1].split("[")[0]
            assert f"def {name}(" in path.read_text(), f"{claim.id}: {file} has no test {name}"


@pytest.mark.parametrize("card", FOUND.datasets.values(), ids=lambda card: card.name)
def test_a_data_set_has_a_card_and_a_loader(card: DataCard) -> None:
    assert check_dataset(card) == []
    assert card.title and card.what
    for file in card.files:
        assert file.url.startswith("https://"), f"{file.path}: fetched over a connection that can be changed"


@pytest.mark.parametrize("card", FOUND.datasets.values(), ids=lambda card: card.name)
def test_a_data_set_serves_at_least_one_case(card: DataCard) -> None:
    assert any(case.dataset == card.name for case in ALL_CASES)


def test_listing_all_cases_and_claims_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from remeasure.declared.registry import registry; found = registry();"
        "[system.claims for system in found.systems.values()]; found.cases();"
        "print(*sorted({'numpy', 'pandas', 'scipy', 'torch', 'lightgbm', 'gensim', 'sklearn', 'matplotlib'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **variables(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == ""
