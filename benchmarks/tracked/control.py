"""The A/A control: the strawman against its twin. It stays at 1, or no ratio of that commit is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from .harness import TWIN_SUFFIX, Case
from .measured import Tracked, absent, declare, tracked_cases


def numbers(cases: Iterable[Case]) -> Iterator[Tracked]:
    for case in cases:
        base = next((arm for arm in case.arms if arm.role == "strawman"), case.arms[0])
        for metric in case.timed:
            yield Tracked(
                case.id, metric.name, metric.better, TWIN_SUFFIX, base.name, f"of {base.name}", True
            )


globals().update(declare(numbers(tracked_cases())))


def __getattr__(name: str) -> Callable[..., object]:
    return absent(name)
