"""Any workload is whole, ordered, within the context and the same again with its seed; what makes none is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from blockllm.workload_traces import AZURE, CLIENTS, CONV, WORKLOADS, check, mine
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim import workloads
from remeasure.impls.blockllm.sim.workloads import Trace, w1, w2, w3


def same(one: Trace, other: Trace) -> bool:
    return all(
        np.array_equal(a, b) if isinstance(a := getattr(one, f.name), np.ndarray) else a == b
        for f in fields(Trace)
        for b in [getattr(other, f.name)]
    )


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(sorted(WORKLOADS)),
    seed=st.integers(0, 2**32),
    load=st.floats(0.5, 3),
    minutes=st.floats(1, 5),
    context=st.integers(64, 8192),
)
def test_a_workload_is_whole_ordered_and_within_the_context(
    name: str, seed: int, load: float, minutes: float, context: int
) -> None:
    trace = WORKLOADS[name](seed, load, minutes=minutes, context=context)
    check(trace, context)
    check(trace.scaled(load), context)


MUTANTS: dict[str, Callable[[Trace], dict[str, Any]]] = {
    "times of another type": lambda trace: {"at_s": trace.at_s.astype(np.float32)},
    "counts of another type": lambda trace: {"prompt": trace.prompt.astype(np.float64)},
    "outside of the trace": lambda trace: {"at_s": trace.at_s + 60},
    "not in order": lambda trace: {"at_s": np.append(trace.at_s[1:], 0.0)},
    "no such app": lambda trace: {"app": trace.app + 1},
    "no tokens": lambda trace: {"output": trace.output - trace.output.min()},
    "beyond the context": lambda trace: {"prompt": trace.prompt + 1},
    "another share was cut": lambda trace: {"clipped": 0.9},
    "shares that are none": lambda trace: {"shares": trace.shares / 2},
}


@pytest.mark.parametrize("fault", MUTANTS)
def test_the_check_finds_a_wrong_workload(fault: str) -> None:
    trace = w1(AZURE, seed=0)
    check(trace)
    with pytest.raises(AssertionError, match=fault):
        check(replace(trace, **MUTANTS[fault](trace)))


@pytest.mark.parametrize("name", WORKLOADS)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(name: str) -> None:
    make = WORKLOADS[name]
    assert same(make(3), make(3))
    other = make(4)
    assert not np.array_equal(make(3).at_s[:50], other.at_s[:50])
    assert not np.array_equal(make(3).prompt[:50], other.prompt[:50])


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_higher_load_is_the_same_requests_closer_together_and_then_more(name: str) -> None:
    low, high = (WORKLOADS[name](5, load) for load in (1.0, 2.0))
    assert len(high) > 1.4 * len(low)
    for app in range(low.apps):
        ours, theirs = np.flatnonzero(low.app == app), np.flatnonzero(high.app == app)
        n = min(len(ours), len(theirs))
        assert n == len(ours) or name == "w1"
        assert (low.prompt[ours[:n]] == high.prompt[theirs[:n]]).all()
        assert (low.output[ours[:n]] == high.output[theirs[:n]]).all()


def test_draws_that_share_a_stream_do_not_pair_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    one = np.random.default_rng(0)
    monkeypatch.setattr(workloads, "_stream", lambda seed, *what: one)
    with pytest.raises(AssertionError):
        test_a_higher_load_is_the_same_requests_closer_together_and_then_more("w2a")


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "rate": (lambda: w1(AZURE, seed=0, rate=0), "rate is 0; it must be above 0"),
    "minutes": (lambda: w1(AZURE, seed=0, minutes=-1), "minutes is -1; it must be above 0"),
    "apps": (lambda: w1(AZURE, seed=0, apps=0), "apps is 0; it must be at least 1"),
    "context": (lambda: w1(AZURE, seed=0, context=1), "context is 1; it must be at least 2"),
    "alpha": (lambda: w1(AZURE, seed=0, alpha=-1), "alpha is -1; the apps' skew must be 0 or more"),
    "endless": (lambda: w1(AZURE, seed=0, rate=float("inf")), "rate is inf"),
    "no number": (lambda: w1(AZURE, seed=0, rate=float("nan")), "rate is nan"),
    "one request": (lambda: w1(mine([0]), seed=0), "mine has no two requests at different times"),
    "one time": (lambda: w1(mine([3, 3]), seed=0), "mine has no two requests at different times"),
    "load": (lambda: w2(CLIENTS, seed=0, load_rps=-3), "load_rps is -3; it must be above 0"),
    "lengths": (lambda: w2(CLIENTS, seed=0, load_rps=1, lengths="code"), "W2 has no lengths 'code'"),  # type: ignore[arg-type]
    "idle": (
        lambda: w2(CLIENTS, seed=0, load_rps=1e-6, minutes=0.1, conv=CONV),
        "no request comes in 0.1 minutes; ask for more minutes or a higher rate",
    ),
    "cv": (lambda: w3(cv=0, rate_rps=1, seed=0), "cv is 0; it must be above 0"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_workload_is_refused_in_one_sentence(what: str) -> None:
    ask, sentence = REFUSED[what]
    with pytest.raises(UserError, match=sentence) as refusal:
        ask()
    assert "\n" not in str(refusal.value)


def test_a_window_of_requests_at_one_time_is_refused() -> None:
    # Whichever request it begins at, two in a row share their time in the first half.
    data = mine([0.0] * 999 + [1000.0])
    with pytest.raises(UserError, match="1 requests in a row have the same time; ask for more minutes"):
        w1(data, seed=0, rate=0.001, minutes=1)
