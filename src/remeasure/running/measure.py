"""The one function that measures; asv, pytest-benchmark and the report read what it returns.

Every round runs all arms once, in a shuffled order, so that two arms are always compared within one process
and within moments of each other. A twin of the strawman (the same arm once more) runs as an A/A control.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..contracts import Arm, Case, Metric
from ..errors import UserError
from ..records.record import TWIN_SUFFIX
from .garbage import Garbage, quiet_gc
from .units import CLUSTERS, UNITS, Judged

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
    units: dict[str, list[str]] = field(default_factory=dict)
    clusters: dict[str, list[str]] = field(default_factory=dict)


class _Turn:
    """One arm, or the twin, that every round runs once."""

    def __init__(
        self, name: str, arm: Arm, case: Case, data: Any, seed: int, clocks: Mapping[str, Clock]
    ) -> None:
        self.name, self.arm, self.case = name, arm, case
        self.data, self.seed, self.clocks = data, seed, clocks
        self.prepared: Run | None = None

    def prepare(self) -> Run:
        if self.prepared is None:
            self.prepared = self.case.prepare(self.arm, self.data, self.seed)
        return self.prepared

    def warm_up(self) -> None:
        self.prepare()()
        self.release()

    def run(self, garbage: Garbage) -> tuple[Any, dict[str, int]]:
        """What the round returned, and the nanoseconds it took on each clock that a metric asks for."""
        run = self.prepare()
        if self.clocks:
            garbage.collect()
        before = {name: read() for name, read in self.clocks.items()}
        returned = run()
        taken = {name: read() - before[name] for name, read in self.clocks.items()}
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
    clocks: dict[str, Clock] = {metric.clock: clock or CLOCKS[metric.clock] for metric in case.timed}
    turns = {arm.name: _Turn(arm.name, arm, case, data, seed, clocks) for arm in case.arms}
    steps = _Steps(on_round, len(turns) * (rounds + warm_up))
    twin_of = ""
    for turn in list(turns.values()):
        if not case.fresh:
            turn.prepare()
        if warm_up:
            turn.warm_up()
            steps.next()
    if warm_up:
        twin_of = _strawman(case).name
        twin = _Turn(twin_of + TWIN_SUFFIX, case.arm(twin_of), case, data, seed, clocks)
        turns[twin.name] = twin
        steps.total += rounds + 1
        twin.warm_up()
        steps.next()
    results, garbage = _Results(case), Garbage(all_of_it=case.fresh)
    planned, order = list(_orders(list(turns), seed, rounds)), list[list[str]]()
    with quiet_gc() if case.timed else nullcontext():
        for names in planned:
            for name in names:
                results.add(turns[name], len(order), *turns[name].run(garbage))
                steps.next()
            order.append(names)
            if budget_s is not None and time.monotonic() - started >= budget_s:
                break
    results.check()
    return Measured(
        results.samples,
        order,
        twin_of,
        results.extras,
        budget_ended=len(order) < rounds,
        units=results.judged.units,
        clusters=results.judged.clusters,
    )


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


class _Results:
    """Gathers what rounds return; refuses what could not be compared."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.samples: Samples = {metric.name: {} for metric in case.metrics}
        self.extras: dict[str, Any] = {}
        self.judged = Judged(case)

    def add(self, turn: _Turn, index: int, returned: Any, taken: Mapping[str, int]) -> None:
        if returned is not None and not isinstance(returned, Mapping):
            raise self._error(
                turn.arm, f"returned a {type(returned).__name__}; a round returns None or a mapping"
            )
        given, extras, places = dict(returned or {}), None, {}
        if given:
            extras = given.pop(EXTRAS, None)
            places = self.judged.places(turn.arm, given.pop(UNITS, None), given.pop(CLUSTERS, None))
            if unknown := sorted(set(given) - set(self.samples)):
                raise self._error(turn.arm, f"returned {unknown[0]!r}, which is no metric of the case")
        twin = turn.name != turn.arm.name
        for metric in self.case.metrics:
            every_round = metric.kind == "time" or not (twin or metric.repeats)
            if twin and not every_round:
                continue
            values = self._values(turn.arm, metric, given, taken)
            values = self.judged.ordered(turn.arm, metric, values, places)
            if every_round:
                self.samples[metric.name].setdefault(turn.name, []).extend(values)
            else:
                self._keep_equal(turn.arm, metric, values, index)
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
            if metric.kind == "time" and not self.case.times_itself:
                raise self._error(
                    arm,
                    f"returned a {metric.name} of its own; a case that times itself declares times_itself",
                )
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
