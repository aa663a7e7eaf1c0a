"""`pytest benchmarks/session`: times of tracked cases in pytest-benchmark's table, quality beside them."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from replay import Measurements, ReplayClock, duration, timed_arms

from remeasure.contracts import Case

CLOCK = ReplayClock()
ARMS = [
    pytest.param(case, arm, marks=pytest.mark.benchmark(group=case.id, timer=CLOCK), id=f"{case.id}: {arm}")
    for case, arm in timed_arms()
]


@pytest.mark.parametrize(("case", "arm"), ARMS)
def test_arm(benchmark: BenchmarkFixture, measurements: Measurements, case: Case, arm: str) -> None:
    metric = duration(case)
    assert metric is not None
    samples = measurements.seconds(case, arm, metric)
    benchmark.extra_info.update(measurements.others(case, arm))
    CLOCK.load(samples)
    benchmark.pedantic(lambda: None, rounds=len(samples))
