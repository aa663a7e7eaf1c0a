"""The measurements behind all benchmarks of a commit, made once by `setup_cache` and read by all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from .harness import (
    TWIN_SUFFIX,
    Arm,
    Case,
    at_profile,
    locked,
    measure,
    open_data,
    registry,
    simulator,
    timing_lock_path,
)

TAG = "tracked"
PROFILES = ("asv", "tiny")
"""The first of these that a case has is what asv runs."""
SMALLEST = 1e-6
"""Anything smaller counts as this: a collapse to 0 must show as a cost and not look like absence."""
Samples = Mapping[str, Mapping[str, list[list[float]]]]
"""metric → arm → one list of samples a seed; the A/A twin is the arm `TWIN_SUFFIX`."""
Cache = Mapping[str, Samples | str]
"""case id → its samples, or the sentence why there are none."""


@dataclass(frozen=True)
class Tracked:
    """One number that asv follows."""

    case: str
    metric: str
    better: str
    """`lower` or `higher`; what asv is told is always a cost."""
    arm: str
    base: str
    """The arm it is compared with; empty where the number stands alone."""
    unit: str
    timed: bool = False
    """A time, which is never 0."""

    @property
    def what(self) -> str:
        """As a person reads it."""
        return f"{self.metric}, {'A/A' if self.arm == TWIN_SUFFIX else self.arm}"

    @property
    def name(self) -> str:
        words = re.sub(r"\W+", "_", f"{self.case}__{self.what}")
        return f"track_{words.strip('_').lower()}"

    def measured_in(self, samples: Samples) -> bool:
        return {self.arm, self.base} - {""} <= set(samples.get(self.metric, ()))

    def costs(self, samples: Samples) -> list[float]:
        """Of a pair of samples how much the arm costs for one that the base costs; without a base a mean a seed."""
        arms = samples[self.metric]
        if not self.base:
            means = [fmean(values) for values in arms[self.arm]]
            return means if self.better == "lower" else [1 / max(mean, SMALLEST) for mean in means]
        blocks = zip(arms[self.arm], arms[self.base], strict=True)
        pairs = [pair for ours, theirs in blocks for pair in zip(ours, theirs, strict=True)]
        ordered = pairs if self.better == "lower" else [pair[::-1] for pair in pairs]
        return [_cost(*pair, self.timed) for pair in ordered]


def tracked_cases() -> list[Case]:
    """The cases with the tag, as they run for asv."""
    cases = (case for case in registry().cases() if TAG in case.tags)
    return [at_profile(case, _profile(case), {}) for case in cases]


def setup_cache() -> dict[str, Samples | str]:
    """Measure every tracked case; one that fails carries its error to its own benchmarks and to no other."""
    with locked(timing_lock_path()):
        return {case.id: _measured(case) for case in tracked_cases()}


setup_cache.timeout = 3600  # type: ignore[attr-defined]


def declare(numbers: Iterable[Tracked]) -> dict[str, Callable[..., object]]:
    """A benchmark function for each number, by name."""
    return {number.name: _benchmark(number) for number in numbers}


def absent(name: str) -> Callable[..., object]:
    """What a module gives for a benchmark that the installed commit does not have: asv then prints `n/a`."""
    if not name.startswith("track_"):
        raise AttributeError(name)

    def skip(*_: object) -> None:
        raise NotImplementedError(f"{name} does not exist at this commit")

    def function(*_: object) -> None:
        skip()

    return _named(function, name, setup=skip)


def honest(case: Case) -> Iterator[Arm]:
    """The arms whose results mean something: no negative controls."""
    return (arm for arm in case.arms if not arm.invalid and arm.role != "control")


def strawman(case: Case, arm: Arm) -> Arm | None:
    """What an arm is compared with; on a curve the strawman at the same x. None for the strawman itself."""
    plain = [other for other in case.arms if other.role == "strawman" and other.x == arm.x]
    return None if arm.role == "strawman" else next(iter(plain), None)


def _profile(case: Case) -> str:
    return next(profile for profile in PROFILES if profile in case.profiles)


def _measured(case: Case) -> Samples | str:
    at = case.profiles[_profile(case)]
    try:
        data, _ = open_data(case, simulator(registry().dataset(case.dataset)))
        blocks = [measure(case, data, seed, at.rounds) for seed in at.seeds]
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    # The twin is renamed: which arm it doubles is the strawman, whatever that is called at this commit.
    return {
        metric.name: {
            TWIN_SUFFIX if arm.endswith(TWIN_SUFFIX) else arm: [
                block.samples[metric.name][arm] for block in blocks
            ]
            for arm in blocks[0].samples[metric.name]
        }
        for metric in case.metrics
    }


def _benchmark(number: Tracked) -> Callable[..., object]:
    def setup(cache: Cache) -> None:
        if number.case not in cache:
            raise NotImplementedError(f"{number.case} does not exist at this commit")
        samples = cache[number.case]
        if not isinstance(samples, str) and not number.measured_in(samples):
            raise NotImplementedError(
                f"{number.case} has no {number.what}"
            )  # no twin where a round times itself

    def function(cache: Cache) -> dict[str, object]:
        samples = cache[number.case]
        if isinstance(samples, str):
            raise RuntimeError(f"{number.case}: {samples}")
        return {"samples": number.costs(samples), "number": 1}

    pretty = f"{number.case}: {number.what}"
    return _named(
        function, number.name, setup=setup, setup_cache=setup_cache, unit=number.unit, pretty_name=pretty
    )


def _named(function: Callable[..., object], name: str, **attributes: object) -> Callable[..., object]:
    """asv reads settings from a benchmark's function; `version` keeps the series when this file is edited."""
    function.__name__ = function.__qualname__ = name
    for key, value in {"version": "1", "timeout": 600, **attributes}.items():
        setattr(function, key, value)
    return function


def _cost(part: float, whole: float, timed: bool) -> float:
    """How much one costs for one of the other."""
    if timed and min(part, whole) <= 0:
        raise RuntimeError(f"rounds took {part:g} and {whole:g}: one of them took no time")
    return max(part, SMALLEST) / max(whole, SMALLEST)
