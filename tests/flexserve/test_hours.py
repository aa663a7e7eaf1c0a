"""Hours of agents and shared caches on the modelled device: what taking a part of FlexServe away can and cannot do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from remeasure.datasets.ondevice.loader import Request, Workloads, load
from remeasure.impls.flexserve.cases.device import device_hour, device_pipeline
from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.questions import Grid, Hour, Shared
from remeasure.impls.flexserve.runs import device, hours, shared_cache
from remeasure.impls.flexserve.systems import FLEXSERVE, STRAWMAN_OPT, cold

DRAWS = 2


@pytest.fixture(scope="module")
def workloads() -> Workloads:
    return load(Request(requests=8), None)


def mean(found: dict[str, object], name: str) -> float:
    values = np.asarray(found[name])
    assert values.shape == (DRAWS,)
    return float(values.mean())


def hour(system: System, workloads: Workloads) -> dict[str, object]:
    return hours.served(Hour(system, DRAWS), workloads, 0)


def test_every_arm_of_the_hour_differs_from_flexserve_in_what_its_name_says() -> None:
    systems = {arm.name: arm.config.system for arm in device_hour.arms}
    assert len(set(systems.values())) == len(systems)
    assert systems["no prefetch"] == replace(FLEXSERVE, prefetch=False)
    assert systems["least recently used layers"] == replace(FLEXSERVE, kept="lru")
    assert systems["equal budgets"] == replace(FLEXSERVE, budgets="uniform")
    assert systems["no cache, protection on demand"] == replace(cold(FLEXSERVE), on_demand=True)


def test_a_cache_finds_weights_and_none_finds_nothing(workloads: Workloads) -> None:
    assert mean(hour(cold(FLEXSERVE), workloads), "weights found in memory") == 0
    assert 0 < mean(hour(FLEXSERVE, workloads), "weights found in memory") < 100


def test_protection_on_demand_is_off_some_of_the_time_and_never_without_stage_two(
    workloads: Workloads,
) -> None:
    on_demand = hour(replace(cold(FLEXSERVE), on_demand=True), workloads)
    assert 0 < mean(on_demand, "stage-2 tables on") < 100
    assert mean(hour(FLEXSERVE, workloads), "stage-2 tables on") == pytest.approx(100)
    assert mean(hour(STRAWMAN_OPT, workloads), "stage-2 tables on") == 0


def test_a_cooperative_cache_leaves_applications_more_than_one_that_keeps_everything(
    workloads: Workloads,
) -> None:
    keeps = mean(hour(replace(STRAWMAN_OPT, cache="always"), workloads), "memory missed by applications")
    assert 0 <= mean(hour(FLEXSERVE, workloads), "memory missed by applications") < keeps


def test_the_same_seed_gives_the_same_hour(workloads: Workloads) -> None:
    first, again = (hour(FLEXSERVE, workloads) for _ in range(2))
    assert all((np.asarray(first[name]) == np.asarray(again[name])).all() for name in first)


def test_asynchronous_reclaim_keeps_applications_waiting_less(workloads: Workloads) -> None:
    waits = hours.reclaimed(Hour(replace(FLEXSERVE, async_reclaim=False), DRAWS), workloads, 0)
    returns = hours.reclaimed(Hour(draws=DRAWS), workloads, 0)
    for name in ("reclaim, p50", "reclaim, p99"):
        assert 0 < mean(returns, name) < mean(waits, name)


def test_an_hour_in_which_nobody_asks_memory_back_waits_for_nothing(workloads: Workloads) -> None:
    calm = replace(workloads, hour=replace(workloads.hour, pressure_gb=(0.0,)))
    assert mean(hours.reclaimed(Hour(draws=DRAWS), calm, 0), "reclaim, p99") == 0


def test_a_shared_cache_is_better_than_none(workloads: Workloads) -> None:
    kept, none = (
        shared_cache.served(Shared(system, DRAWS), workloads, 0) for system in (FLEXSERVE, cold(FLEXSERVE))
    )
    assert mean(kept, "TTFT, mean") < mean(none, "TTFT, mean")
    assert mean(none, "weights found in memory") == 0 < mean(kept, "weights found in memory")


def test_no_cold_start_is_faster_than_the_unprotected_one(workloads: Workloads) -> None:
    found = {
        arm.name: np.asarray(device.cold_start(Grid(arm.config.system, DRAWS), workloads, 0)["TTFT"])
        for arm in device_pipeline.arms
    }
    inline = found.pop("FlexServe, inline cipher")
    assert all((values >= found["NW-Base"]).all() for values in found.values())
    assert (inline <= found["FlexServe, layer by layer"]).all()
