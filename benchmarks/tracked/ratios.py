"""What an arm costs for one that the strawman of its case costs: times, simulated times and counts.

Where a case has no strawman, what it measures as a share of something else in the same process stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .harness import Case
from .measured import Tracked, absent, declare, honest, strawman, tracked_cases

KINDS = ("time", "virtual-time", "count")
SHARES = ("%", "×")
"""Units of a number that is a ratio already."""


def numbers(cases: Iterable[Case]) -> Iterator[Tracked]:
    for case in cases:
        compared = any(arm.role == "strawman" for arm in case.arms)
        for metric in (metric for metric in case.metrics if metric.kind in KINDS):
            for arm in honest(case):
                base = strawman(case, arm)
                if base:
                    unit = f"of {base.name}"
                    timed = metric.kind == "time"
                    yield Tracked(case.id, metric.name, metric.better, arm.name, base.name, unit, timed)
                elif not compared and metric.unit in SHARES:
                    unit = f"1 / {metric.unit}" if metric.better == "higher" else metric.unit
                    yield Tracked(case.id, metric.name, metric.better, arm.name, "", unit)


globals().update(declare(numbers(tracked_cases())))


def __getattr__(name: str) -> Callable[..., object]:
    return absent(name)
