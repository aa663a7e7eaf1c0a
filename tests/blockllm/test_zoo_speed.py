"""What the case about the zoo's speed runs: the plain zoo beside the overlapped one, each against the limits."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from blockllm.zoo_models import bits, model

from remeasure.contracts import Case
from remeasure.errors import UserError
from remeasure.impls.blockllm.cases.models import zoo_speed
from remeasure.impls.blockllm.chain import Model
from remeasure.impls.blockllm.questions import Moved
from remeasure.impls.blockllm.runs import zoo as zoo_runs
from remeasure.impls.blockllm.zoo.limits import Limits
from remeasure.impls.blockllm.zoo.plain import Plain
from remeasure.impls.blockllm.zoo.store import Zoo

FAMILY = [model("base"), model("lora", delta={1: 0}), model("top", (0, 0, 0, 1, 1, 0))]


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> list[Model]:
    monkeypatch.setattr(zoo_runs, "random_family", lambda: FAMILY)
    return FAMILY


def limits_of(disk: float, sha256: float) -> object:
    return lambda paths: Limits(
        sum(path.stat().st_size for path in paths), {4: disk}, {1: sha256 / 2, 2: sha256}
    )


def test_every_arm_gives_every_number(family: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo_runs, "limits", limits_of(2000.0, 1000.0))
    hashed = sum(map(zoo_runs.separate_bytes, family)) / 1e6
    for arm in zoo_speed.arms:
        found = zoo_runs.moved(Moved("random", arm.config.how), None)()
        assert set(found) == {metric.name for metric in zoo_speed.metrics} | {"extras"}, arm.name
        assert found["insert / limit"] == pytest.approx(100 * hashed / found["insert"] / 1000)  # type: ignore[operator]
        one = found["insert / limit, hashed by one thread"]
        assert one == pytest.approx(2 * found["insert / limit"])  # type: ignore[operator]


def test_the_first_fetch_and_later_ones_are_told_apart_each_beside_its_own_limit(
    family: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    fetches, readings = iter((0.5, 0.4, 0.2, 0.3, 0.1)), iter((0.4, 0.1, 0.1, 0.1, 0.2))
    order: list[str] = []

    def told(what: str, seconds: Iterator[float]) -> Callable[..., float]:
        return lambda *given: order.append(what) or next(seconds)  # type: ignore[func-returns-value]

    monkeypatch.setattr(zoo_runs, "_seconds_to_fetch", told("fetch", fetches))
    monkeypatch.setattr(zoo_runs, "_seconds_to_fill", told("read", readings))
    # SHA-256 is never slower than the first reading here.
    monkeypatch.setattr(zoo_runs, "limits", limits_of(2e9, 1e9))
    found: dict[str, Any] = zoo_runs.moved(Moved("random"), None)()
    assert order == ["fetch", "read", "read", "fetch"] * 2 + ["fetch", "read"]
    assert (found["first fetch"], found["fetch"]) == (0.5, 0.25)
    assert found["first fetch / limit of a first reading"] == pytest.approx(80)  # 0.4 s of 0.5 s
    assert found["fetch / limit"] == pytest.approx(2 * found["first fetch / limit"])
    assert found["later reading"] == pytest.approx(4 * found["first reading"])


def test_a_second_round_reads_before_it_fetches(family: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(zoo_runs, "_seconds_to_fetch", lambda *given: order.append("fetch") or 1.0)
    monkeypatch.setattr(zoo_runs, "_seconds_to_fill", lambda *given: order.append("read") or 1.0)
    monkeypatch.setattr(zoo_runs, "limits", limits_of(2000.0, 1000.0))
    run = zoo_runs.moved(Moved("random"), None)
    run()
    order.clear()
    run()
    assert order[:2] == ["read", "fetch"]


def test_the_first_reading_is_no_limit_where_sha256_is_slower(
    family: list[Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo_runs, "_seconds_to_fill", lambda *given: 1e-9)
    monkeypatch.setattr(zoo_runs, "limits", limits_of(2000.0, 1000.0))
    found: dict[str, Any] = zoo_runs.moved(Moved("random"), None)()
    assert found["first fetch / limit of a first reading"] == found["first fetch / limit"]


def test_rounds_leave_empty_files_and_the_end_leaves_nothing(
    family: list[Model], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Files that were removed would slow the next round's new ones down."""
    monkeypatch.setattr(zoo_runs, "limits", limits_of(2000.0, 1000.0))
    monkeypatch.setattr(zoo_runs.tempfile, "tempdir", str(tmp_path))
    run = zoo_runs.moved(Moved("random"), None)
    run()
    once = [path for path in tmp_path.rglob("*.safetensors")]
    run()
    twice = [path for path in tmp_path.rglob("*.safetensors")]
    assert len(twice) == 2 * len(once) > 0
    assert all(path.stat().st_size == 0 for path in twice)
    del run
    gc.collect()
    assert not list(tmp_path.iterdir())


def test_the_plain_zoo_holds_the_same_tensors_each_once(tmp_path: Path) -> None:
    plain, zoo = Plain(tmp_path / "plain"), Zoo(tmp_path / "zoo", threads=2)
    for one in FAMILY:
        plain.insert(one)
        zoo.insert(one)
    assert len(list(plain.objects.iterdir())) == len(list(zoo.objects.iterdir()))
    stored = [weights for one in FAMILY for weights in one.groups]
    stored += [weights for one in FAMILY if one.delta for weights in one.delta.tensors.values()]
    assert {repr(sorted(bits(weights).items())) for weights in plain.fetch()} == {
        repr(sorted(bits(weights).items())) for weights in stored
    }


def test_the_plain_zoo_finds_a_damaged_object_too(tmp_path: Path) -> None:
    plain = Plain(tmp_path)
    plain.insert(FAMILY[0])
    path = next(plain.objects.iterdir())
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(UserError, match=f"{path.name} is damaged"):
        plain.fetch()


def test_the_random_family_is_the_same_each_time_and_shares_its_halves() -> None:
    one, other, both = zoo_runs.random_family()
    half = len(one.groups) // 2
    assert both.groups[:half] == one.groups[:half] and both.groups[half:] == other.groups[half:]
    assert not torch.equal(one.groups[1]["q"], other.groups[1]["q"])
    zoo_runs.random_family.cache_clear()
    again = zoo_runs.random_family()[0]
    assert all(bits(a) == bits(b) for a, b in zip(one.groups, again.groups, strict=True))
    zoo_runs.random_family.cache_clear()


def test_what_the_quick_profiles_run_is_there() -> None:
    case: Case = zoo_speed
    for profile in ("smoke", "asv"):
        arms = case.profiles[profile].arms or ()
        assert [case.arm(name).role for name in arms] == ["strawman", "reference"]
