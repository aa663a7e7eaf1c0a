"""The cache keeps what removes stalls, shares its bytes without loss, and follows what was invoked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.policy import cache
from remeasure.impls.flexserve.policy.cache import (
    InvocationLog,
    ModelUse,
    budgets,
    desired,
    kept_histories,
    kept_parts,
    zero_stall_prefix,
)
from remeasure.impls.flexserve.systems import FLEXSERVE

Prefix = Callable[[int, float, float], int]
SECONDS = st.floats(0, 10, allow_subnormal=False) | st.sampled_from([0.0, 0.1, 0.25, 0.3, 1.0, 2.0])


def use(name: str = "m", parts: Sequence[int] = (10, 10, 10, 10), **fields: float) -> ModelUse:
    values = {"rate": 0.5, "frequency": 0.01, "mean_prompt": 128.0, "load_s_per_part": 1.0}
    return ModelUse(name, tuple(parts), **{**values, "compute_s_per_part": 0.5, **fields})


USES = st.lists(
    st.builds(
        ModelUse,
        name=st.sampled_from("abcdef"),
        part_bytes=st.lists(st.integers(0, 10**10), max_size=8).map(tuple),
        rate=st.floats(0, 1),
        frequency=st.floats(0, 5),
        mean_prompt=st.floats(0, 5000),
        load_s_per_part=SECONDS,
        compute_s_per_part=SECONDS,
    ),
    max_size=6,
    unique_by=lambda use: use.name,
)


def stalls(layers: int, load_s: float, compute_s: float, cached: int) -> bool:
    """The pipeline step by step, exactly: loads follow each other, compute of a layer waits for its load."""
    loaded = done = Fraction(0)
    for index in range(layers):
        if index >= cached:
            loaded += Fraction(load_s)
            if loaded > done:
                return True
        done += Fraction(compute_s)
    return False


def check_prefix(prefix: Prefix, layers: int, load_s: float, compute_s: float) -> None:
    k = prefix(layers, load_s, compute_s)
    assert 0 <= k <= layers
    assert not stalls(layers, load_s, compute_s, k), "stalls with the prefix"
    assert k == 0 or stalls(layers, load_s, compute_s, k - 1), "a shorter prefix would do"


@given(st.integers(0, 40), SECONDS, SECONDS)
def test_the_zero_stall_prefix_is_the_shortest_that_never_stalls(
    layers: int, load_s: float, compute_s: float
) -> None:
    check_prefix(zero_stall_prefix, layers, load_s, compute_s)


@given(st.integers(1, 40), SECONDS, SECONDS, st.integers(1, 40))
def test_no_stall_exactly_from_the_published_bound_on(
    layers: int, load_s: float, compute_s: float, cached: int
) -> None:
    if load_s > 0 and cached <= layers:
        enough = cached >= layers - (layers - 1) * Fraction(compute_s) / Fraction(load_s)
        assert stalls(layers, load_s, compute_s, cached) == (not enough)


@pytest.mark.parametrize(
    "mutant",
    [
        lambda n, load, compute: max(0, zero_stall_prefix(n, load, compute) - 1),
        lambda n, load, compute: min(n, zero_stall_prefix(n, load, compute) + 1),
        lambda n, load, compute: max(0, int(n - n * compute / load)),
        lambda n, load, compute: 0,
    ],
    ids=["one layer short", "one layer long", "forgets the first bubble", "keeps nothing"],
)
def test_a_wrong_prefix_is_noticed(mutant: Prefix) -> None:
    with pytest.raises(AssertionError):
        for compute_s in (0.5, 1.0, 2.0):
            check_prefix(mutant, 8, 1.0, compute_s)


def check_budgets(
    uses: Sequence[ModelUse], total: int, given: Mapping[str, int], rule: str = "invocations"
) -> None:
    """Nothing lost, nothing invented, the zero-stall prefixes first, shares by weight."""
    room = {use.name: use.nbytes for use in uses}
    assert given.keys() == room.keys()
    assert all(0 <= given[name] <= room[name] for name in room), "more than the model needs"
    assert sum(given.values()) == min(total, sum(room.values())), "bytes lost or invented"
    weights = {use.name: use.weight if rule == "invocations" else 1.0 for use in uses}
    limits = [room]
    if rule == "invocations":
        cap = {use.name: cache._without_stall(use) for use in uses}
        limits = [cap] if sum(cap.values()) >= total else []
        for name in room:
            if sum(cap.values()) >= total:
                assert given[name] <= cap[name], "past the cap while another model stalls"
            else:
                assert given[name] >= cap[name], "below the cap though bytes are left"
    for limit in limits:  # who is not full has at least its weight's share compared with anyone else
        for a in room:
            for b in room:
                if given[a] < limit[a]:
                    assert Fraction(weights[b]) * (given[a] + 1) >= Fraction(weights[a]) * (given[b] - 1)


@given(USES, st.integers(0, 10**11), st.sampled_from(["invocations", "uniform"]))
def test_no_byte_of_the_budget_is_lost(uses: list[ModelUse], total: int, rule: str) -> None:
    check_budgets(uses, total, budgets(uses, total, rule), rule)  # type: ignore[arg-type]


def without_spill(total: int, room: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    return {name: min(room[name], int(total * weights[name] / sum(weights.values()))) for name in room}


def first_come(total: int, room: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    given = {}
    for name in room:
        given[name] = min(room[name], total)
        total -= given[name]
    return given


def beyond_total(total: int, room: Mapping[str, int], weights: Mapping[str, float]) -> dict[str, int]:
    return {name: min(room[name], total) for name in room}


@pytest.mark.parametrize("mutant", [without_spill, first_come, beyond_total])
def test_a_wrong_share_is_noticed(mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    uses = [use("a", [10] * 4, rate=0.1), use("b", [10] * 4), use("c", [10] * 4, frequency=0.1)]
    check_budgets(uses, 50, budgets(uses, 50, "invocations"))
    monkeypatch.setattr(cache, "_pour", mutant)
    with pytest.raises(AssertionError):
        check_budgets(uses, 50, budgets(uses, 50, "invocations"))


def test_budgets_that_ignore_the_cap_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    uses = [use("a", [10] * 4, rate=0.1, compute_s_per_part=0.1), use("b", [10] * 4, compute_s_per_part=2.0)]
    shares = budgets(uses, 30, "invocations")
    check_budgets(uses, 30, shares)
    assert shares == {"a": 20, "b": 10}  # one layer of b removes its stalls; the rest is worth more to a
    with pytest.raises(AssertionError, match="cap"):
        check_budgets(uses, 30, budgets(uses, 30, "uniform"))


def test_a_share_grows_with_use_and_shrinks_with_prompt_length() -> None:
    other = use("b", compute_s_per_part=0.0)
    plain = budgets([use("a", compute_s_per_part=0.0), other], 40, "invocations")["a"]
    for field, value, more in (("rate", 0.9, True), ("frequency", 0.1, True), ("mean_prompt", 900.0, False)):
        changed = use("a", compute_s_per_part=0.0, **{field: value})
        assert (budgets([changed, other], 40, "invocations")["a"] > plain) == more
    assert budgets([use("a", rate=0.9), use("b", mean_prompt=900)], 40, "uniform") == {"a": 20, "b": 20}


KEPT = st.sampled_from(["prefix", "lru", "random"])


@given(
    st.lists(st.integers(0, 20), max_size=10), st.integers(0, 100), st.integers(0, 100), KEPT, st.integers()
)
def test_kept_parts_fit_and_grow_with_the_budget(
    parts: list[int], small: int, more: int, kept: str, seed: int
) -> None:
    model = use(parts=parts)
    few = kept_parts(model, small, kept, seed)  # type: ignore[arg-type]
    many = kept_parts(model, small + more, kept, seed)  # type: ignore[arg-type]
    assert sum(parts[i] for i in few) <= small and list(few) == sorted(set(few))
    assert set(few) <= set(many)
    assert few == kept_parts(model, small, kept, seed)  # type: ignore[arg-type]
    assert set(kept_parts(model, sum(parts), kept, seed)) == {i for i, n in enumerate(parts) if n}  # type: ignore[arg-type]


def check_prefix_kept(parts: Sequence[int], kept: Sequence[int], budget: int) -> None:
    """Invariant 12, second half: the first parts, and the next one did not fit."""
    held = [i for i, n in enumerate(parts) if n]
    assert list(kept) == held[: len(kept)], "not a prefix"
    assert len(kept) == len(held) or sum(parts[i] for i in held[: len(kept) + 1]) > budget, "too short"


@given(st.lists(st.integers(0, 20), max_size=10), st.integers(0, 100))
def test_the_cached_set_is_the_longest_prefix(parts: list[int], budget: int) -> None:
    check_prefix_kept(parts, kept_parts(use(parts=parts), budget, "prefix", 0), budget)


@pytest.mark.parametrize("kept", ["lru", "random"])
def test_layers_that_are_no_prefix_are_noticed(kept: str) -> None:
    with pytest.raises(AssertionError, match="prefix"):
        check_prefix_kept([10] * 8, kept_parts(use(parts=[10] * 8), 30, kept, 1), 30)  # type: ignore[arg-type]


def test_lru_keeps_the_last_layers_and_random_differs_between_models_and_seeds() -> None:
    assert kept_parts(use(), 25, "lru", 0) == (2, 3)
    draws = {kept_parts(use(name, [1] * 30), 10, "random", seed) for name in "ab" for seed in range(5)}
    assert len(draws) == 10


def test_histories_most_invoked_first_and_only_whole() -> None:
    kv = {"a": 30, "b": 20, "c": 10, "none": 0}
    assert kept_histories(kv, {"a": 0.2, "b": 0.5, "c": 0.1}, 45) == ("b", "c")
    assert kept_histories(kv, {}, 1000) == ("a", "b", "c")


def log_of(*invocations: tuple[str, float, int]) -> InvocationLog:
    log = InvocationLog()
    for model, time_s, tokens in invocations:
        log.note(model, time_s, tokens)
    return log


def test_history_counts_inside_the_window_only() -> None:
    log = log_of(("old", 0, 5), ("a", 100, 10), ("b", 3000, 1), ("a", 3650, 30))
    seen = log.history(3660)
    assert list(seen) == ["a", "b"]
    assert seen["a"].rate == pytest.approx(2 / 3) and seen["a"].mean_prompt == 20
    assert seen["a"].frequency == pytest.approx(2 / 3600)
    assert log.last_used("old") == 0 and log.last_used("never") is None
    assert [name for name, _ in log.latest_first()] == ["a", "b", "old"]


def test_the_log_refuses_what_it_cannot_know() -> None:
    log = log_of(("a", 10, 1))
    with pytest.raises(ValueError, match="order of their times"):
        log.note("b", 9, 1)
    with pytest.raises(ValueError, match="only reaches 3600"):
        log.history(10, window_s=7200)


def test_models_above_the_threshold_are_kept_or_else_the_most_invoked() -> None:
    assert log_of(*[("a", t, 1) for t in range(6)], ("b", 6, 1), ("c", 7, 1)).models_to_keep(8) == ("a",)
    even = log_of(*[(name, t, 1) for t, name in enumerate("abcdeabcde")])
    assert even.models_to_keep(10) == ("e", "d", "c")
    assert even.models_to_keep(10, at_least=1) == ("e",)
    assert even.models_to_keep(10, threshold=0.1) == ("e", "d", "c", "b", "a")
    assert even.models_to_keep(10**6) == ()


def test_nothing_is_kept_without_a_cache() -> None:
    assert desired(System(cache="none"), log_of(("m", 0, 1)), [use()], 10**9, 0) == {}


class Lru:
    """A cache of whole models that remembers: what `desired` must say without remembering."""

    def __init__(self, total: int, timeout_s: float) -> None:
        self.total, self.timeout_s = total, timeout_s
        self.held: dict[str, tuple[float, int]] = {}

    def use(self, name: str, nbytes: int, now: float) -> set[str]:
        self.expire(now)
        self.held.pop(name, None)
        if nbytes <= self.total:
            self.held[name] = now, nbytes
            while sum(n for _, n in self.held.values()) > self.total:
                del self.held[next(iter(self.held))]
        return set(self.held)

    def expire(self, now: float) -> set[str]:
        self.held = {m: (at, n) for m, (at, n) in self.held.items() if now - at < self.timeout_s}
        return set(self.held)


SIZES = {"a": 10, "b": 25, "c": 30, "d": 45, "e": 70}
TRACE = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from([1.0, 20.0, 70.0])), max_size=25)


def check_whole_models(keep: Callable[..., object], system: System, trace: list[tuple[str, float]]) -> None:
    models = [use(name, [nbytes]) for name, nbytes in SIZES.items()]
    remembers = Lru(60, 60.0 if system.cache == "timeout" else float("inf"))
    log, now = InvocationLog(), 0.0
    for name, gap in trace:
        assert keep(system, log, models, 60, now + gap / 2) == dict.fromkeys(
            remembers.expire(now + gap / 2), (0,)
        )
        now += gap
        log.note(name, now, 100)
        held = remembers.use(name, SIZES[name], now)
        assert keep(system, log, models, 60, now) == dict.fromkeys(held, (0,))


@given(TRACE, st.sampled_from(["always", "timeout"]))
def test_always_and_timeout_hold_what_a_cache_of_whole_models_would(
    trace: list[tuple[str, float]], policy: str
) -> None:
    check_whole_models(desired, System(cache=policy), trace)  # type: ignore[arg-type]


def test_a_timeout_that_never_ends_is_noticed() -> None:
    def forgets(system: System, *rest: object) -> object:
        return desired(replace(system, cache="always"), *rest)  # type: ignore[arg-type]

    trace = [("a", 1.0), ("b", 70.0), ("a", 1.0)]
    check_whole_models(desired, System(cache="timeout"), trace)
    with pytest.raises(AssertionError):
        check_whole_models(forgets, System(cache="timeout"), trace)


def test_a_model_is_released_when_its_timeout_ends() -> None:
    log, system = log_of(("m", 100, 1)), System(cache="timeout", timeout_s=60)
    assert desired(system, log, [use()], 40, 159.9) == {"m": (0, 1, 2, 3)}
    assert desired(system, log, [use()], 40, 160) == {}


@given(USES, st.integers(0, 10**11), st.permutations("aabbbcdef"), KEPT)
def test_the_cooperative_cache_keeps_known_models_inside_the_total(
    uses: list[ModelUse], total: int, invoked: list[str], kept: str
) -> None:
    log = log_of(*[(name, at, 10) for at, name in enumerate(invoked)])
    system = replace(FLEXSERVE, kept=kept)  # type: ignore[type-var]
    parts = desired(system, log, uses, total, 9.0)
    known = {use.name: use.part_bytes for use in uses}
    assert set(parts) <= set(known) & set(log.models_to_keep(9.0)) and all(parts.values())
    assert sum(known[name][i] for name, kept_ in parts.items() for i in kept_) <= total
    if kept == "prefix":
        for name, indices in parts.items():
            held = [i for i, n in enumerate(known[name]) if n]
            assert list(indices) == held[: len(indices)]
