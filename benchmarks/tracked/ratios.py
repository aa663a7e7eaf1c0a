"""What an arm costs for one that the strawman of its case costs: times, simulated times and counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from remeasure.contracts import Case

from .measured import Tracked, absent, declare, honest, strawman, tracked_cases

KINDS = ("time", "virtual-time", "count")


def numbers(cases: Iterable[Case]) -> Iterator[Tracked]:
    for case in cases:
        for metric in (metric for metric in case.metrics if metric.kind in KINDS):
            for arm in honest(case):
                base = strawman(case, arm)
                if base:
                    unit = f"of {base.name}"
                    yield Tracked(case.id, metric.name, metric.better, arm.name, base.name, unit)


globals().update(declare(numbers(tracked_cases())))


def __getattr__(name: str) -> Callable[..., object]:
    return absent(name)
