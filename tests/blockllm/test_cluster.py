"""What the cluster's cases compute from simulations: ratios on the same requests, and where a ratio is reached."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.blockllm.cases.cluster import LOADED, SERVED
from remeasure.impls.blockllm.questions import Cell, Crossing
from remeasure.impls.blockllm.runs import cluster
from remeasure.impls.blockllm.runs.cluster import P95, crossing, first_crossing, loaded, served, simulated
from remeasure.impls.blockllm.tuned import BLOCKLLM_TUNED, PM_TUNED, PS_TUNED, UNTUNED, chosen, tuning

QUICK = Cell(replace(BLOCKLLM_TUNED, swaps=20), workload="w3", load=5.0, minutes=0.1)


def test_ratios_are_of_the_same_requests_and_every_metric_is_given() -> None:
    found = loaded(QUICK, None, 0)
    assert {metric.name for metric in LOADED} | {"extras"} == set(found)
    assert {metric.name for metric in SERVED} | {"extras"} == set(served(QUICK, None, 0))
    own = simulated(QUICK, None, 0)
    for name, serving in (("PM", PM_TUNED), ("PS", PS_TUNED)):
        theirs = simulated(replace(QUICK, serving=serving), None, 0)
        assert theirs["requests"] == own["requests"]
        assert found[f"p95, {name} / own"] == theirs[P95] / own[P95]
        key = "utilisation, bytes"
        assert name == "PS" or found[f"{key}, own / {name}"] == own[key] / theirs[key]


def test_a_baseline_is_as_good_as_itself() -> None:
    found = loaded(replace(QUICK, serving=PM_TUNED), None, 0)
    assert found["p95, PM / own"] == found["utilisation, time, own / PM"] == 1.0


def test_two_systems_that_never_end_are_alike() -> None:
    assert cluster._ratio(inf, inf) == 1.0
    assert cluster._ratio(inf, 2.0) == inf


def test_the_same_cell_is_simulated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = replace(QUICK, minutes=0.05)
    first = simulated(cell, None, 1)
    monkeypatch.setattr(cluster, "simulate", None)
    assert simulated(cell, None, 1) is first


def test_another_seed_is_another_sample() -> None:
    assert simulated(QUICK, None, 0)[P95] != simulated(QUICK, None, 1)[P95]


@pytest.mark.parametrize(
    "ys,wanted,at",
    [
        ([0.0, 1.0], 0.5, 1.5),
        ([0.0, 1.0], 1.0, 2.0),
        ([1.0, 0.0], 0.5, 1.0),
        ([0.0, 0.1], 0.5, 2.0),
        ([0.0, -1.0, 1.0], 0.5, 2.75),
    ],
)
def test_a_ratio_is_reached_between_two_loads(ys: list[float], wanted: float, at: float) -> None:
    assert first_crossing((1.0, 2.0, 3.0)[: len(ys)], ys, wanted) == pytest.approx(at)


@given(st.lists(st.floats(-2, 2), min_size=2, max_size=6), st.floats(-1, 1))
def test_below_the_crossing_the_ratio_is_not_reached(ys: list[float], wanted: float) -> None:
    xs = tuple(float(x) for x in range(len(ys)))
    found = first_crossing(xs, ys, wanted)
    assert xs[0] <= found <= xs[-1]
    assert all(y < wanted for x, y in zip(xs, ys, strict=True) if x < found)


def test_a_crossing_says_whether_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    p95 = {(True, 1.0): 1.0, (True, 2.0): 1.0, (False, 1.0): 1.0, (False, 2.0): 4.0}

    def fake(cell: Cell, data: object, seed: int) -> dict[str, float]:
        return {P95: p95[cell.serving == BLOCKLLM_TUNED, cell.load]}

    monkeypatch.setattr(cluster, "simulated", fake)
    config = Crossing(Cell(BLOCKLLM_TUNED), PM_TUNED, (1.0, 2.0), ratio=2.0)
    assert crossing(config, None, 0) == {"load where it is crossed": pytest.approx(1.5), "crossed": 100.0}
    never = crossing(replace(config, ratio=8.0), None, 0)
    assert never == {"load where it is crossed": 2.0, "crossed": 0.0}


@pytest.mark.parametrize("name", UNTUNED)
def test_every_system_had_as_many_trials_and_what_was_chosen_is_the_best_of_them(name: str) -> None:
    record = tuning(name)
    assert record.trials == 30
    tried = cluster_record()["systems"][name]["trials"]
    best = min(tried, key=lambda trial: trial["p95 s"])
    serving = chosen(name)
    for field in record.space:
        assert getattr(serving, field) == best[field]


def cluster_record() -> dict:  # type: ignore[type-arg]
    from remeasure.impls.blockllm import tuned

    return tuned.recorded()
