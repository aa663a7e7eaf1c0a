"""The one function that measures; asv, pytest-benchmark and the report read what it returns.

Every round runs all arms once, in a shuffled order, so that two arms are always compared within one process
and within moments of each other. A twin of the strawman (the same arm once more) runs as an A/A control.
"""

from __future__ import annotations

import gc
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import msgspec

from ..contracts import Arm, Case, Metric
from ..errors import UserError
from ..records.record import TWIN_SUFFIX

Clock = Callable[[], int]
"""Nanoseconds since some moment."""
Run = Callable[[], Any]
Samples = dict[str, dict[str, list[float]]]

CLOCKS: Mapping[str, Clock] = {"cpu": time.process_time_ns, "wall": time.perf_counter_ns}
PER_SECOND: Mapping[str, float] = {
    "s": 1.0,
    "ms": 1e3,
    "µs": 1e6,
    "us": 1e6,
    "ns": 1e9,
    "min": 1 / 60,
    "h": 1 / 3600,
}
"""How many of a unit make a second: the units in which the harness itself can time a round."""
EXTRAS = "extras"
"""Key under which a round may return plain JSON to be drawn beside its numbers."""


@dataclass(frozen=True)
class Measured:
    """What a block's rounds gave; the twin stands beside the arms as `twin_of + TWIN_SUFFIX`."""

    samples: Samples
    order: list[list[str]]
    twin_of: str
    extras: dict[str, Any]
    budget_ended: bool


class _Turn:
    """One arm, or the twin, that every round runs once."""

    def __init__(self, name: str, arm: Arm, case: Case, data: Any, seed: int) -> None:
        self.name, self.arm, self.case = name, arm, case
        self.data, self.seed = data, seed
        self.prepared: Run | None = None

    def prepare(self) -> Run:
        if self.prepared is None:
            self.prepared = self.case.prepare(self.arm, self.data, self.seed)
        return self.prepared

    def warm_up(self) -> Any:
        """What the round returned, when it ran for the first time."""
        returned = self.prepare()()
        self.release()
        return returned

    def run(self, clock: Clock | None) -> tuple[Any, dict[str, int]]:
        """What the round returned, and the nanoseconds it took on each clock that a metric asks for."""
        run = self.prepare()
        clocks: dict[str, Clock] = {m.clock: clock or CLOCKS[m.clock] for m in self.case.timed}
        if clocks:
            gc.collect()
        before = {name: read() for name, read in clocks.items()}
        returned = run()
        taken = {name: read() - before[name] for name, read in clocks.items()}
        self.release()
        return returned, taken

    def release(self) -> None:
        """Let go of what was prepared, where every round wants it anew."""
        if self.case.fresh:
            self.prepared = None


def measure(
    case: Case,
    data: Any,
    seed: int,
    rounds: int,
    clock: Clock | None = None,
    on_round: Callable[[int, int], None] | None = None,
    budget_s: float | None = None,
) -> Measured:
    """Run all arms of `case` for `rounds` rounds on `data` and return every sample.

    clock: instead of the clocks the metrics ask for (tests). on_round(done, all): called after every turn of
    an arm, warm-up included. budget_s: seconds after which no further round begins; there is always one.
    Raises UserError where an arm returns what cannot be compared.
    """
    started = time.monotonic()
    warm_up = bool(case.timed) and rounds > 1  # a single round is a cost: no ratio, so no warm-up and no twin
    turns = {arm.name: _Turn(arm.name, arm, case, data, seed) for arm in case.arms}
    steps = _Steps(on_round, len(turns) * (rounds + warm_up))
    twin_of = ""
    for turn in list(turns.values()):
        if not case.fresh:
            turn.prepare()
        if warm_up:
            returned = turn.warm_up()
            steps.next()
            if _left_to_harness(case, returned) and len(case.arms) > 1:
                twin_of = _strawman(case).name
    if twin_of:
        twin = _Turn(twin_of + TWIN_SUFFIX, case.arm(twin_of), case, data, seed)
        turns[twin.name] = twin
        steps.total += rounds + 1
        twin.warm_up()
        steps.next()
    results = _Results(case)
    order: list[list[str]] = []
    with _quiet_gc() if case.timed else nullcontext():
        for names in _orders(list(turns), seed, rounds):
            for name in names:
                results.add(turns[name], len(order), *turns[name].run(clock))
                steps.next()
            order.append(names)
            if budget_s is not None and time.monotonic() - started >= budget_s:
                break
    results.check()
    return Measured(results.samples, order, twin_of, results.extras, budget_ended=len(order) < rounds)


def _left_to_harness(case: Case, returned: Any) -> bool:
    """Whether the round returned no number for a metric of time, so that its duration is the number."""
    given = returned if isinstance(returned, Mapping) else {}
    return any(metric.name not in given for metric in case.timed)


def _strawman(case: Case) -> Arm:
    return next((arm for arm in case.arms if arm.role == "strawman"), case.arms[0])


class _Steps:
    """Counts turns for a progress bar."""

    def __init__(self, report: Callable[[int, int], None] | None, total: int) -> None:
        self.report, self.total, self.done = report, total, 0

    def next(self) -> None:
        self.done += 1
        if self.report:
            self.report(self.done, self.total)


def _orders(names: list[str], seed: int, rounds: int) -> Iterator[list[str]]:
    """Shuffled orders, each followed by its mirror: in two rounds every arm runs as often before another as
    after it, so that slow drift of the machine favours nobody."""
    rng = random.Random(seed)
    for index in range(rounds):
        names = names[::-1] if index % 2 else rng.sample(names, len(names))
        yield list(names)


@contextmanager
def _quiet_gc() -> Iterator[None]:
    """No collection in the middle of a round; what exists already is not looked at again."""
    enabled = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


class _Results:
    """Gathers what rounds return; refuses what could not be compared."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.samples: Samples = {metric.name: {} for metric in case.metrics}
        self.extras: dict[str, Any] = {}

    def add(self, turn: _Turn, index: int, returned: Any, taken: Mapping[str, int]) -> None:
        if returned is not None and not isinstance(returned, Mapping):
            raise self._error(
                turn.arm, f"returned a {type(returned).__name__}; a round returns None or a mapping"
            )
        given = dict(returned or {})
        extras = given.pop(EXTRAS, None)
        unknown = sorted(set(given) - set(self.samples))
        if unknown:
            raise self._error(turn.arm, f"returned {unknown[0]!r}, which is no metric of the case")
        twin = turn.name != turn.arm.name
        for metric in self.case.metrics:
            if metric.kind == "time" or not (twin or metric.repeats):
                values = self._values(turn.arm, metric, given, taken)
                self.samples[metric.name].setdefault(turn.name, []).extend(values)
            elif not twin:
                self._keep_equal(turn.arm, metric, self._values(turn.arm, metric, given, taken), index)
        if extras is not None and not twin:
            self.extras[turn.name] = self._plain(turn.arm, extras)

    def check(self) -> None:
        """Every arm gives a value for the same users, queries or documents, or nothing can be paired."""
        for metric in self.case.metrics:
            if metric.kind != "quality":
                continue
            counts = {arm: len(values) for arm, values in self.samples[metric.name].items()}
            if len(set(counts.values())) > 1:
                raise UserError(
                    f"{self.case.id}: arms give different numbers of {metric.name} ({counts}); "
                    f"each must give one a {metric.per}, over the same ones."
                )

    def _values(
        self, arm: Arm, metric: Metric, given: Mapping[str, Any], taken: Mapping[str, int]
    ) -> list[float]:
        if metric.name in given:
            try:
                values = list(_flat(given[metric.name]))
            except (TypeError, ValueError):
                raise self._error(arm, f"returned a {metric.name} that is no number") from None
        elif metric.kind == "time":
            if metric.unit not in PER_SECOND:
                raise self._error(
                    arm,
                    f"leaves {metric.name} to the harness, which can time in {', '.join(PER_SECOND)} "
                    f"but not in {metric.unit!r}",
                )
            values = [taken[metric.clock] / 1e9 * PER_SECOND[metric.unit]]
        else:
            raise self._error(arm, f"returned no {metric.name}")
        if not values:
            raise self._error(arm, f"returned an empty {metric.name}")
        if not all(map(math.isfinite, values)):
            raise self._error(arm, f"returned a {metric.name} that is not finite (NaN or infinite)")
        return values

    def _keep_equal(self, arm: Arm, metric: Metric, values: list[float], index: int) -> None:
        first = self.samples[metric.name].setdefault(arm.name, values)
        if values != first:
            raise self._error(arm, f"is not deterministic: {metric.name} changed in round {index + 1}")

    def _plain(self, arm: Arm, extras: Any) -> Any:
        try:
            return msgspec.json.decode(msgspec.json.encode(extras, enc_hook=_listed))
        except (TypeError, ValueError, NotImplementedError) as error:
            raise self._error(arm, f"returned {EXTRAS} that are not plain JSON ({error})") from None

    def _error(self, arm: Arm, what: str) -> UserError:
        return UserError(f"{self.case.id}: arm {arm.name!r} {what}.")


def _listed(value: Any) -> Any:
    """numpy's numbers and arrays, without importing numpy."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"a {type(value).__name__}")


def _flat(value: Any) -> Iterator[float]:
    """The numbers of a number, a sequence or an array of any library, in order."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (str, bytes)):
        raise TypeError(value)
    if isinstance(value, (int, float)):
        yield float(value)
    else:
        for part in value:
            yield from _flat(part)
