"""The contract checks themselves: each planted fault is found and said in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from remeasure.contracts import Arm, At, Case, Metric
from remeasure.declared.overrides import apply
from remeasure.declared.registry import Registry, registry
from remeasure.running import contract_checks
from remeasure.running.contract_checks import (
    PASSED,
    check_case,
    check_dataset,
    check_declaration,
    run_contract,
)
from toy.env import use_toy


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_toy(monkeypatch, tmp_path / "cache")


@dataclass(frozen=True)
class Opaque:
    """Neither JSON nor a pickle."""

    call: Any = None


@dataclass
class Thawed:
    users: int = 1


class Grown(Opaque):
    """A plain subclass: no dataclass of its own."""


def prediction() -> Case:
    return registry().case("toysys/prediction")


def with_arm(case: Case, index: int, **changed: Any) -> Case:
    arms = list(case.arms)
    arms[index] = replace(arms[index], **changed)
    return replace(case, arms=tuple(arms))


def without_role(case: Case, role: str) -> Case:
    return replace(case, arms=tuple(arm for arm in case.arms if arm.role != role))


DECLARED: dict[str, tuple[Callable[[Case], Case], str]] = {
    "no question": (lambda case: replace(case, question=""), "asks no question"),
    "data set": (lambda case: replace(case, dataset="nothing"), "names the data set nothing"),
    "no metric": (lambda case: replace(case, metrics=()), "has no metric"),
    "arm twice": (lambda case: with_arm(case, 1, name="peek"), ": arm peek stands twice"),
    "metric twice": (
        lambda case: replace(case, metrics=case.metrics[:1] * 2),
        ": metric accuracy stands twice",
    ),
    "twin's name": (lambda case: with_arm(case, 0, name="x (A/A)"), "'x (A/A)' may not be called so"),
    "no name": (lambda case: with_arm(case, 0, name=" "), "arm ' ' may not be called so"),
    "no strawman": (lambda case: without_role(case, "strawman"), "has no strawman arm"),
    "no optimized": (lambda case: without_role(case, "optimized"), "has no optimized arm"),
    "no reference": (lambda case: without_role(case, "reference"), "has no reference arm"),
    "untuned": (lambda case: with_arm(case, 1, tuning=None), "group mean is optimized but says not how"),
    "thawed": (lambda case: with_arm(case, 0, config=Thawed()), "arm global mean is no frozen dataclass"),
    "no dataclass": (
        lambda case: with_arm(case, 0, config={"a": 1}),
        "arm global mean is no frozen dataclass",
    ),
    "subclass": (lambda case: with_arm(case, 0, config=Grown()), "arm global mean is no frozen dataclass"),
    "no JSON": (lambda case: with_arm(case, 0, config=Opaque(object())), "cannot be written as JSON"),
    "no text": (lambda case: with_arm(case, 0, config=Opaque("\ud800")), "cannot be written as JSON"),
    "no pickle": (lambda case: replace(case, request=Opaque(lambda: 1)), "its request cannot be pickled"),
    "no axis": (lambda case: with_arm(case, 0, series="s", x=1.0), "is a point of a curve without"),
    "no x": (lambda case: replace(with_arm(case, 0, series="s"), axis="n"), "is a point of a curve without"),
    "no tiny": (lambda case: replace(case, profiles={"smoke": At()}), "declares no tiny profile"),
    "no seeds": (lambda case: replace(case, profiles={"tiny": At(seeds=())}), "seeds that differ"),
    "same seeds": (lambda case: replace(case, profiles={"tiny": At(seeds=(1, 1))}), "seeds that differ"),
    "no rounds": (lambda case: replace(case, profiles={"tiny": At(rounds=0)}), "at least one round"),
    "arm of profile": (lambda case: replace(case, profiles={"tiny": At(arms=("x",))}), "called 'x'"),
    "field of profile": (
        lambda case: replace(case, profiles={"tiny": At(set={"usrs": 1})}),
        "sets usrs, a field that no case of toysys has",
    ),
    "fields of profile": (
        lambda case: replace(case, profiles={"tiny": At(set={"usrs": 1, "age": 1})}),
        "sets age, a field that no case of toysys has",
    ),
    "simulated as measured": (
        lambda case: replace(case, metrics=(replace(case.metrics[0], kind="virtual-time"),)),
        "says measured of accuracy, which a simulator computes",
    ),
    "value of profile": (
        lambda case: replace(case, profiles={"tiny": At(set={"users": "many"})}),
        "users of case toysys/prediction cannot be 'many'",
    ),
}


@pytest.mark.parametrize("fault", DECLARED)
def test_a_fault_in_what_is_declared_is_found(fault: str) -> None:
    plant, sentence = DECLARED[fault]
    problems = check_case(registry(), plant(prediction()))
    assert check_declaration(registry(), plant(prediction())) == problems
    assert any(sentence in problem for problem in problems), problems
    assert all(problem.startswith("case toysys/prediction: ") and "\n" not in problem for problem in problems)


def test_nothing_is_wrong_with_the_toys_of_which_one_draws_curves() -> None:
    cases = registry().system("toysys").cases.values()
    assert [check_case(registry(), case) for case in cases] == [[], [], []]
    assert any(case.axis for case in cases)


def test_it_is_the_first_block_of_the_tiny_profile_that_is_run_and_it_is_run_twice() -> None:
    seen: list[int] = []
    given = prediction()

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], Any]:
        seen.append(seed)
        return given.prepare(arm, data, seed)

    case = replace(given, prepare=prepare, profiles={"tiny": At(seeds=(5, 6), set={"users": 30})})
    assert check_case(registry(), case) == []
    assert seen == [5] * 2 * len(case.arms)


def test_a_case_tagged_partial_may_lack_a_role() -> None:
    case = without_role(prediction(), "optimized")
    assert check_case(registry(), replace(case, tags=("partial",))) == []


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("raise", "its tiny profile fails: RuntimeError: planted fault"),
        ("bad-input", "toydata is not what the case needs; planted fault"),
        ("unequal", "different numbers of score"),
        ("nan", "finite"),
    ],
)
def test_a_fault_in_what_is_measured_is_found(fault: str, sentence: str) -> None:
    case = apply(registry().case("faulty/fragile"), {"fault": fault})
    problems = check_case(registry(), case)
    assert len(problems) == 1 and sentence in problems[0], problems


def test_a_result_that_depends_on_more_than_the_seed_is_found() -> None:
    calls = iter(range(1000))

    def drifting(arm: Arm, data: Any, seed: int) -> Callable[[], Any]:
        value = float(next(calls))
        return lambda: {"accuracy": [value], "lookups": 1}

    problems = check_case(registry(), replace(prediction(), prepare=drifting))
    assert problems == ["case toysys/prediction: accuracy is not the same for the same seed"]


def test_counts_of_different_length_are_found() -> None:
    def ragged(arm: Arm, data: Any, seed: int) -> Callable[[], Any]:
        return lambda: {"accuracy": 1.0, "lookups": [1] * (1 + (arm.role == "reference"))}

    problems = check_case(registry(), replace(prediction(), prepare=ragged))
    assert problems == ["case toysys/prediction: arms give different numbers of lookups"]


def test_a_metric_of_time_need_not_repeat() -> None:
    case = replace(prediction(), metrics=(Metric("s", "s", "lower", "time"),), times_itself=True)
    values = iter(range(1, 1000))
    timed = replace(case, prepare=lambda arm, data, seed: lambda: {"s": float(next(values))})
    assert check_case(registry(), timed) == []


def test_a_loader_without_its_names_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from toy.datasets.toydata import loader

    card = registry().dataset("toydata")
    assert check_dataset(card) == []
    monkeypatch.delattr(loader, "load")
    monkeypatch.setattr(loader, "Request", Thawed)
    problems = check_dataset(card)
    assert any("no load(request, root)" in problem for problem in problems)
    assert any("no Request that is a frozen dataclass" in problem for problem in problems)
    assert "cannot be imported" in check_dataset(replace(card, package="toy.datasets.none"))[0]


def counted(monkeypatch: pytest.MonkeyPatch, problems: list[str]) -> list[str]:
    """Have every check find `problems`; returns the growing list of cases checked."""
    checked: list[str] = []

    def check(found: Registry, case: Case) -> list[str]:
        checked.append(case.id)
        return problems

    monkeypatch.setattr(contract_checks, "check_case", check)
    return checked


def test_a_case_is_checked_once_for_the_same_code(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checked = counted(monkeypatch, [])
    found = registry()
    for _ in range(3):
        assert run_contract(found, prediction(), tmp_path) == PASSED
    for _ in range(2):
        assert run_contract(found, found.case("toysys/loop-time"), tmp_path) == PASSED
    assert checked == ["toysys/prediction", "toysys/loop-time"]


def test_a_cache_that_is_not_there_yet_is_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checked = counted(monkeypatch, [])
    for _ in range(2):
        assert run_contract(registry(), prediction(), tmp_path / "no" / "cache") == PASSED
    assert len(checked) == 1


def test_a_refusal_is_remembered_as_its_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checked = counted(monkeypatch, ["first", "second"])
    assert [run_contract(registry(), prediction(), tmp_path) for _ in range(2)] == ["first", "first"]
    assert len(checked) == 1


def test_other_code_or_packages_are_checked_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    checked = counted(monkeypatch, [])
    run_contract(registry(), prediction(), tmp_path)
    monkeypatch.setattr(contract_checks, "fingerprint", lambda system, card: "other")
    run_contract(registry(), prediction(), tmp_path)
    monkeypatch.setattr(contract_checks, "packages", lambda system, card: {"other": "1"})
    run_contract(registry(), prediction(), tmp_path)
    assert len(checked) == 3


def test_what_is_checked_is_the_declared_case_not_the_one_being_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    case = apply(registry().case("faulty/fragile"), {"fault": "raise"})
    assert run_contract(registry(), case, tmp_path) == PASSED


def test_a_damaged_or_unwritable_cache_only_costs_a_second_check(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    checked = counted(monkeypatch, [])
    run_contract(registry(), prediction(), tmp_path)
    for file in (tmp_path / "contracts").iterdir():
        file.write_bytes(b"\xff")
    assert run_contract(registry(), prediction(), tmp_path) == PASSED
    (tmp_path / "file").touch()
    assert run_contract(registry(), prediction(), tmp_path / "file") == PASSED
    assert len(checked) == 3
