"""What one call of `measure` promises: pairing, balance, an A/A twin, the right clock, no silent nonsense."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import permutations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import remeasure.running.measure
from remeasure.contracts import Arm, At, Case, Metric
from remeasure.errors import UserError
from remeasure.records.record import TWIN_SUFFIX
from remeasure.running.measure import measure

CPU = Metric("CPU", unit="s", better="lower", kind="time", per="round")
WALL = Metric("wall", unit="ms", better="lower", kind="time", clock="wall", per="round")
SCORE = Metric("score", unit="", better="higher", kind="quality", per="user")
CALLS = Metric("calls", unit="", better="lower", kind="count")


@dataclass(frozen=True)
class Work:
    """How long an arm's round takes on the fake clock."""

    ns: int


SLOW, TUNED, FAST = (
    Arm("slow", "strawman", Work(3_000_000)),
    Arm("tuned", "optimized", Work(2_000_000)),
    Arm("fast", "reference", Work(1_000_000)),
)
ARMS = (TUNED, SLOW, FAST)
TWIN = "slow" + TWIN_SUFFIX


class FakeClock:
    """Stands still unless a round moves it."""

    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def case_of(
    prepare: Callable[..., Any], *metrics: Metric, arms: tuple[Arm, ...] = ARMS, **options: Any
) -> Case:
    return Case("case", "?", prepare, "none", None, arms, metrics, {"tiny": At()}, system="system", **options)


def working(clock: FakeClock, log: list[str] | None = None) -> Callable[..., Any]:
    """Arms that take what their config says."""

    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        def run() -> None:
            clock.now += arm.config.ns
            if log is not None:
                log.append(arm.name)

        return run

    return prepare


def giving(**values: Any) -> Callable[..., Any]:
    """Arms that return the same, whatever they are."""
    return lambda arm, data, seed: lambda: dict(values)


def timed(seed: int = 1, rounds: int = 6, arms: tuple[Arm, ...] = ARMS, **options: Any) -> Any:
    clock = FakeClock()
    return measure(case_of(working(clock), CPU, arms=arms, **options), None, seed, rounds, clock=clock)


def test_order_is_shuffled_recorded_and_the_same_for_the_same_seed() -> None:
    assert timed(seed=1).order == timed(seed=1).order
    assert len({str(timed(seed=seed).order) for seed in range(8)}) > 1
    clock, log = FakeClock(), list[str]()
    measured = measure(case_of(working(clock, log), CPU), None, 3, 5, clock=clock)
    ran = [name.removesuffix(TWIN_SUFFIX) for names in measured.order for name in names]
    assert log[len(ARMS) + 1 :] == ran  # after the warm-up of three arms and the twin


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 6), pairs=st.integers(1, 8))
def test_in_every_two_rounds_each_arm_runs_once_before_and_once_after_each_other(
    seed: int, count: int, pairs: int
) -> None:
    arms = tuple(Arm(f"arm {index}", "ablation", Work(1)) for index in range(count))
    order = timed(seed=seed, rounds=2 * pairs, arms=arms).order
    assert len(order) == 2 * pairs
    for first, second in zip(order[::2], order[1::2], strict=True):
        assert sorted(first) == sorted(second)
        for one, other in permutations(first, 2):
            before = (names.index(one) < names.index(other) for names in (first, second))
            assert sum(before) == 1


def test_every_two_rounds_are_shuffled_anew() -> None:
    order = timed(rounds=20).order
    assert len({tuple(names) for names in order[::2]}) > 2


def test_ratio_of_known_work_is_exact_and_the_twin_equals_its_strawman() -> None:
    samples = timed().samples["CPU"]
    assert [slow / fast for slow, fast in zip(samples["slow"], samples["fast"], strict=True)] == [3.0] * 6
    assert samples[TWIN] == samples["slow"] == [0.003] * 6


def test_twin_is_of_the_strawman_or_of_the_first_arm_where_there_is_none() -> None:
    assert timed().twin_of == "slow"
    assert timed(arms=(TUNED, FAST)).twin_of == "tuned"


def test_a_twin_runs_whatever_the_number_of_arms_and_none_without_a_time() -> None:
    assert timed(arms=(SLOW,)).twin_of == "slow"
    assert measure(case_of(giving(score=[1.0]), SCORE), None, 1, 2).twin_of == ""


def test_a_case_that_times_itself_has_a_twin_that_does_so_too() -> None:
    own = case_of(giving(CPU=0.5), CPU, times_itself=True)
    measured = measure(own, None, 1, 2, clock=FakeClock())
    assert measured.twin_of == "slow"
    assert measured.samples["CPU"]["fast"] == measured.samples["CPU"][TWIN] == [0.5, 0.5]


def test_a_time_of_its_own_is_refused_where_the_case_does_not_say_so() -> None:
    with pytest.raises(
        UserError, match="returned a CPU of its own; a case that times itself declares times_itself"
    ):
        measure(case_of(giving(CPU=0.5), CPU), None, 1, 2, clock=FakeClock())


def test_a_single_round_is_a_cost_and_runs_each_arm_once() -> None:
    clock, log = FakeClock(), list[str]()
    measured = measure(case_of(working(clock, log), CPU), None, 1, 1, clock=clock)
    assert sorted(log) == ["fast", "slow", "tuned"]
    assert measured.samples["CPU"]["slow"] == [0.003]


def test_warm_up_is_not_among_the_samples() -> None:
    clock = FakeClock()

    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        costs = iter([10**9])
        return lambda: setattr(clock, "now", clock.now + next(costs, arm.config.ns))

    measured = measure(case_of(prepare, CPU), None, 1, 4, clock=clock)
    assert measured.samples["CPU"]["fast"] == [0.001] * 4
    assert measured.samples["CPU"][TWIN] == [0.003] * 4


def test_every_metric_is_timed_by_its_own_clock_in_its_own_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, wall = FakeClock(), FakeClock()
    monkeypatch.setattr(remeasure.running.measure, "CLOCKS", {"cpu": cpu, "wall": wall})

    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        def run() -> None:
            cpu.now += 5_000_000
            wall.now += 7_000_000

        return run

    samples = measure(case_of(prepare, CPU, WALL), None, 1, 2).samples
    assert samples["CPU"]["fast"] == [0.005, 0.005]
    assert samples["wall"]["fast"] == [7.0, 7.0]


@pytest.mark.parametrize(
    ("unit", "an_hour"),
    [("s", 3600.0), ("ms", 3.6e6), ("µs", 3.6e9), ("us", 3.6e9), ("ns", 3.6e12), ("min", 60.0), ("h", 1.0)],
)
def test_a_round_of_an_hour_is_so_many_of_a_unit(unit: str, an_hour: float) -> None:
    clock, arms = FakeClock(), (Arm("hour", "strawman", Work(3600 * 10**9)),)
    metric = Metric("time", unit=unit, better="lower", kind="time", per="round")
    assert measure(case_of(working(clock), metric, arms=arms), None, 1, 1, clock=clock).samples == {
        "time": {"hour": [an_hour]}
    }


def test_only_the_round_is_timed_and_no_collection_before_it() -> None:
    clock = FakeClock()

    def collecting(phase: str, info: dict[str, int]) -> None:
        clock.now += 10**9

    gc.callbacks.append(collecting)
    try:
        measured = measure(case_of(working(clock), CPU, fresh=True), None, 1, 4, clock=clock)
    finally:
        gc.callbacks.remove(collecting)
    assert clock.now > 4 * 10**9
    assert measured.samples["CPU"]["fast"] == [0.001] * 4


def test_letting_go_of_what_a_round_prepared_is_not_timed() -> None:
    clock = FakeClock()

    class Reluctant(Case):
        """Takes a second on the clock to say whether what was prepared is let go of."""

        def __getattribute__(self, name: str) -> Any:
            clock.now += 10**9 * (name == "fresh")
            return super().__getattribute__(name)

    plain = case_of(working(clock), CPU, fresh=True)
    case = Reluctant(**{field.name: getattr(plain, field.name) for field in fields(plain)})
    assert measure(case, None, 1, 4, clock=clock).samples["CPU"]["fast"] == [0.001] * 4
    assert clock.now > 4 * 10**9


def test_default_clocks_are_those_of_the_process_and_of_the_wall() -> None:
    import time

    assert remeasure.running.measure.CLOCKS["cpu"] is time.process_time_ns
    assert remeasure.running.measure.CLOCKS["wall"] is time.perf_counter_ns


def test_garbage_is_not_collected_in_a_timed_round_and_is_again_afterwards() -> None:
    seen = []
    measure(case_of(lambda arm, data, seed: lambda: seen.append(gc.isenabled()), CPU), None, 1, 2)
    assert seen[-2 * (len(ARMS) + 1) :] == [False] * 2 * (len(ARMS) + 1)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0

    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        return lambda: 1 / 0

    with pytest.raises(ZeroDivisionError):
        measure(case_of(prepare, CPU), None, 1, 1)
    assert gc.isenabled()


def test_arms_are_prepared_once_or_before_every_round_where_the_case_says_fresh() -> None:
    def prepared(fresh: bool, rounds: int, *metrics: Metric) -> list[str]:
        log: list[str] = []

        def prepare(arm: Arm, data: Any, seed: int) -> Any:
            log.append(arm.name)
            return lambda: {metric.name: 1.0 for metric in metrics if metric.kind != "time"}

        measure(case_of(prepare, *metrics, fresh=fresh), None, 1, rounds, clock=FakeClock())
        return log

    assert prepared(False, 4, SCORE) == ["tuned", "slow", "fast"]
    assert prepared(False, 4, CPU) == ["tuned", "slow", "fast", "slow"]
    assert len(prepared(True, 4, SCORE)) == 4 * 3
    assert len(prepared(True, 4, CPU)) == (4 + 1) * 4


def test_what_a_fresh_round_prepared_is_let_go_before_the_next_is_prepared() -> None:
    import weakref

    class Big:
        pass

    alive = weakref.WeakSet[Big]()

    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        assert not alive
        big = Big()
        alive.add(big)
        return lambda: {"score": float(bool(big))}

    measure(case_of(prepare, SCORE, fresh=True), None, 1, 3)


def test_prepare_gets_the_arm_the_data_and_the_seed() -> None:
    seen = []

    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        seen.append((arm.name, data, seed))
        return lambda: {"score": [1.0]}

    measure(case_of(prepare, SCORE, arms=(FAST,)), "data", 7, 1)
    assert seen == [("fast", "data", 7)]


class Closed:
    """Numbers that can no longer be read."""

    def tolist(self) -> list[float]:
        raise ValueError("the file is closed")


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.array(2), np.array([2]), [2], (2.0,), True + 1])
def test_numbers_and_arrays_of_any_kind_become_floats(value: Any) -> None:
    values = measure(case_of(giving(score=value), SCORE), None, 1, 1).samples["score"]["fast"]
    assert values == [2.0]
    assert type(values[0]) is float


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"score": [1.0, math.nan]}, "score that is not finite"),
        ({"score": math.inf}, "score that is not finite"),
        ({"score": "1"}, "score that is no number"),
        ({"score": None}, "score that is no number"),
        ({"score": []}, "an empty score"),
        ({}, "returned no score"),
        (None, "returned no score"),
        ([1.0], "returned a list"),
        ({"score": 1.0, "scroe": 2.0}, "'scroe', which is no metric"),
        ({"score": 1.0, "b": 2.0, "a": 2.0}, "'a', which is no metric"),
        ({"score": Closed()}, "score that is no number"),
        ({"score": 1.0, "extras": {"what": object()}}, "not plain JSON"),
        ({"score": 1.0, "extras": {"what": np.ndarray}}, "not plain JSON"),
        ({"score": 1.0, "extras": "\ud800"}, "not plain JSON"),
    ],
)
def test_what_cannot_be_judged_is_refused_naming_the_arm(returned: Any, said: str) -> None:
    with pytest.raises(UserError, match=r"^system/case: arm '\w+' .*\.$") as refused:
        measure(case_of(lambda arm, data, seed: lambda: returned, SCORE), None, 1, 1)
    assert said in str(refused.value)


@pytest.mark.parametrize("metrics", [(SCORE,), (CALLS, SCORE)])
def test_arms_that_judge_different_numbers_of_users_are_refused(metrics: tuple[Metric, ...]) -> None:
    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        values = {"score": [1.0] * (2 if arm.name == "fast" else 3), "calls": 1}
        return lambda: {metric.name: values[metric.name] for metric in metrics}

    with pytest.raises(UserError, match="different numbers of score"):
        measure(case_of(prepare, *metrics), None, 1, 1)


@pytest.mark.parametrize("metric", [SCORE, CALLS])
def test_quality_and_counts_that_change_between_rounds_are_refused(metric: Metric) -> None:
    def prepare(arm: Arm, data: Any, seed: int) -> Any:
        values = iter(range(10))
        return lambda: {metric.name: next(values)}

    with pytest.raises(UserError, match=f"is not deterministic: {metric.name} changed in round 2"):
        measure(case_of(prepare, metric), None, 1, 2)


def test_equal_quality_of_several_rounds_stands_once_and_times_stand_in_a_row() -> None:
    samples = measure(case_of(giving(score=[1, 2]), SCORE, CPU), None, 1, 3, clock=FakeClock()).samples
    assert samples["score"] == {name: [1.0, 2.0] for name in ("tuned", "slow", "fast")}
    assert {name: len(values) for name, values in samples["CPU"].items()} == dict.fromkeys(
        ("tuned", "slow", "fast", TWIN), 3
    )


def test_a_unit_the_harness_cannot_time_in_is_refused() -> None:
    per_user = Metric("cost", unit="s/user", better="lower", kind="time")
    with pytest.raises(UserError, match="not in 's/user'"):
        measure(case_of(giving(), per_user), None, 1, 1)


def test_extras_are_kept_by_arm_as_plain_json() -> None:
    measured = measure(
        case_of(giving(score=1, extras={"curve": np.arange(3), "best": np.int64(4)}), SCORE), None, 1, 1
    )
    assert measured.extras["fast"] == {"curve": [0, 1, 2], "best": 4}
    assert set(measured.extras) == {"tuned", "slow", "fast"}


def test_extras_of_the_twin_are_not_kept_and_who_gives_none_has_none() -> None:
    drawn = case_of(giving(extras=[1]), CPU)
    assert set(measure(drawn, None, 1, 2, clock=FakeClock()).extras) == {"tuned", "slow", "fast"}
    assert measure(case_of(giving(), CPU), None, 1, 2, clock=FakeClock()).extras == {}


@pytest.mark.parametrize(("budget_s", "rounds"), [(2.0, 2), (2.5, 3), (4.0, 4), (9.0, 5), (None, 5)])
def test_no_round_begins_once_as_many_seconds_are_over_as_the_budget_has(
    monkeypatch: pytest.MonkeyPatch, budget_s: float | None, rounds: int
) -> None:
    seconds = iter(range(100, 200))
    stepping = SimpleNamespace(monotonic=lambda: float(next(seconds)))
    monkeypatch.setattr(remeasure.running.measure, "time", stepping)
    measured = measure(case_of(giving(score=1), SCORE), None, 1, 5, budget_s=budget_s)
    assert (len(measured.order), measured.budget_ended) == (rounds, rounds < 5)


def test_a_budget_ends_the_block_after_a_whole_round_and_says_so() -> None:
    clock = FakeClock()
    case = case_of(working(clock), CPU)
    cut = measure(case, None, 1, 9, clock=clock, budget_s=0)
    assert len(cut.order) == 1
    assert cut.budget_ended
    assert {len(values) for values in cut.samples["CPU"].values()} == {1}
    assert not measure(case, None, 1, 3, clock=clock, budget_s=3600).budget_ended
    assert not measure(case, None, 1, 1, clock=clock, budget_s=0).budget_ended


def test_progress_counts_every_turn_up_to_the_announced_number() -> None:
    for metrics, rounds in (((CPU,), 3), ((CPU,), 1), ((SCORE,), 2)):
        told: list[tuple[int, int]] = []
        measure(
            case_of(giving(**({"score": 1} if metrics == (SCORE,) else {})), *metrics),
            None,
            1,
            rounds,
            clock=FakeClock(),
            on_round=lambda done, total, told=told: told.append((done, total)),
        )
        assert [done for done, _ in told] == list(range(1, len(told) + 1))
        assert told[-1] == (len(told), len(told))
