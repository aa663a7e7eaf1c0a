"""How good an arm's answers are, per seed, as a cost: 1/x where higher is better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .harness import Case
from .measured import Tracked, absent, declare, honest, tracked_cases


def numbers(cases: Iterable[Case]) -> Iterator[Tracked]:
    for case in cases:
        for metric in (metric for metric in case.metrics if metric.kind == "quality"):
            unit = f"1 / {metric.name}" if metric.better == "higher" else metric.unit or metric.name
            for arm in honest(case):
                yield Tracked(case.id, metric.name, metric.better, arm.name, "", unit)


globals().update(declare(numbers(tracked_cases())))


def __getattr__(name: str) -> Callable[..., object]:
    return absent(name)
