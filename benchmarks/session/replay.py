"""pytest-benchmark shows what `measure` measured: its timer replays samples, nothing runs twice."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from statistics import fmean

from remeasure.contracts import Case, Metric
from remeasure.data import open_data, resolve
from remeasure.data.locks import locked, timing_lock_path
from remeasure.declared.overrides import at_profile
from remeasure.declared.registry import registry
from remeasure.running.measure import PER_SECOND, Measured, measure

TAG = "tracked"
PROFILES = ("asv", "tiny")


class ReplayClock:
    """A timer for `benchmark.pedantic`, which asks it before and after every round."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def load(self, samples: Iterable[float]) -> None:
        """Seconds of the rounds to come."""
        self.times = [time for sample in reversed(list(samples)) for time in (sample, 0.0)]

    def __call__(self) -> float:
        return self.times.pop()


class Measurements:
    """Measures a case when one of its arms is first asked for."""

    def __init__(self) -> None:
        self.of = cache(_measured)

    def seconds(self, case: Case, arm: str, metric: Metric) -> list[float]:
        return [sample / PER_SECOND[metric.unit] for sample in self.of(case.id).samples[metric.name][arm]]

    def others(self, case: Case, arm: str) -> dict[str, float]:
        """Means of what is no time, for `extra_info`."""
        samples = self.of(case.id).samples
        return {
            metric.name: fmean(samples[metric.name][arm]) for metric in case.metrics if metric.kind != "time"
        }


def duration(case: Case) -> Metric | None:
    """The first metric of a case that is a duration, which is all that pytest-benchmark can show."""
    return next((metric for metric in case.timed if metric.unit in PER_SECOND), None)


def timed_arms() -> list[tuple[Case, str]]:
    """Every arm of every tracked case that has a duration."""
    cases = (case for case in registry().cases() if TAG in case.tags and duration(case))
    return [(case, arm.name) for case in cases for arm in at_profile(case, _profile(case), {}).arms]


def _profile(case: Case) -> str:
    return next(profile for profile in PROFILES if profile in case.profiles)


def _measured(case_id: str) -> Measured:
    found = registry()
    declared = found.case(case_id)
    at = declared.profiles[_profile(declared)]
    case = at_profile(declared, _profile(declared), {})
    data, _ = open_data(case, resolve(found.dataset(case.dataset)))
    with locked(timing_lock_path()):
        return measure(case, data, at.seeds[0], at.rounds)
