"""W1, W2 and W3: loads are met, bursts are kept, seeds repeat, prompts are cut to the context and counted."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.azure_llm_2023 import loader as azure_llm_2023
from remeasure.datasets.azure_llm_2023.loader import Service, Services
from remeasure.datasets.servegen import loader as servegen_loader
from remeasure.datasets.servegen.clients import Family, Pmf
from remeasure.errors import UserError
from remeasure.impls.blockllm.sim import draws, workloads
from remeasure.impls.blockllm.sim.draws import lognormal, pick, renewals, sample, zipf
from remeasure.impls.blockllm.sim.workloads import Trace, w1, w2, w3

DATA = Path(os.environ.get("REMEASURE_DATA", ""))
needs_real = pytest.mark.skipif(
    not os.environ.get("REMEASURE_DATA")
    or not (DATA / "servegen").is_dir()
    or not (DATA / "azure_llm_2023").is_dir(),
    reason="no real azure_llm_2023 and servegen in $REMEASURE_DATA",
)
AZURE = azure_llm_2023.load(azure_llm_2023.Request(), None)
CONV = AZURE.service("conv")
CLIENTS = servegen_loader.load(servegen_loader.Request(), None)

Make = Callable[..., Trace]
WORKLOADS: dict[str, Make] = {
    "w1": lambda seed, load=1.0, **more: w1(AZURE, seed=seed, rate=load, **more),
    "w2a": lambda seed, load=1.0, **more: w2(CLIENTS, seed=seed, load_rps=8 * load, conv=CONV, **more),
    "w2b": lambda seed, load=1.0, **more: w2(
        CLIENTS, seed=seed, load_rps=8 * load, lengths="conv", conv=CONV, **more
    ),
    "w3": lambda seed, load=1.0, **more: w3(cv=4, rate_rps=8 * load, seed=seed, **more),
    "w3 together": lambda seed, load=1.0, **more: w3(
        cv=4, rate_rps=8 * load, seed=seed, together=True, **more
    ),
}


def mine(at_s: list[float], prompt: list[int] | None = None, output: list[int] | None = None) -> Services:
    """A trace of one service with these requests."""
    n = len(at_s)
    columns = (np.array(at_s, float), np.array(prompt or [10] * n), np.array(output or [5] * n))
    return Services("mine", False, (), (Service("mine", *columns),))


def cv(times: np.ndarray) -> float:
    gaps = np.diff(times)
    return float(gaps.std() / gaps.mean())


def same(one: Trace, other: Trace) -> bool:
    return all(
        np.array_equal(a, b) if isinstance(a := getattr(one, f.name), np.ndarray) else a == b
        for f in fields(Trace)
        for b in [getattr(other, f.name)]
    )


def check(trace: Trace, context: int = 4096) -> None:
    assert len(trace.at_s) == len(trace.app) == len(trace.prompt) == len(trace.output) == len(trace) > 0
    assert trace.at_s.dtype == np.float64, "times of another type"
    assert trace.app.dtype == trace.prompt.dtype == trace.output.dtype == np.int64, "counts of another type"
    assert trace.at_s[0] >= 0 and trace.at_s[-1] < 60 * trace.minutes, "outside of the trace"
    assert (np.diff(trace.at_s) >= 0).all(), "not in order"
    assert trace.app.min() >= 0 and trace.app.max() < trace.apps == len(trace.shares), "no such app"
    assert trace.prompt.min() >= 1 and trace.output.min() >= 1, "no tokens"
    assert (trace.prompt + trace.output).max() <= context, "beyond the context"
    full = np.mean(trace.prompt + trace.output == context)
    assert 0 <= trace.clipped <= full, "another share was cut"
    assert np.isclose(trace.shares.sum(), 1) and (trace.shares > 0).all(), "shares that are none"


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


# W1


def test_w1_at_its_own_rate_and_length_is_the_trace() -> None:
    at_s = [0.0, 1.0, 1.5, 4.0]
    trace = w1(mine(at_s, [1, 2, 3, 4], [5, 6, 7, 8]), seed=0, minutes=16 / 3 / 60, apps=3)
    # A round is the span of 4 s and a mean gap; it begins anywhere.
    begins = [1, 2, 3, 4].index(int(trace.prompt[0]))
    expected = np.sort((np.array(at_s) - at_s[begins]) % (16 / 3))
    assert trace.at_s == pytest.approx(expected)
    assert trace.prompt.tolist() == [(begins + k) % 4 + 1 for k in range(4)]
    assert (trace.output - trace.prompt == 4).all() and trace.clipped == 0
    assert trace.rate_rps == pytest.approx(0.75)


@pytest.mark.parametrize("rate", [0.25, 1.0, 7.0, 50.0])
def test_w1_has_exactly_the_load_asked_for_whatever_the_seed(rate: float) -> None:
    of_trace = (len(CONV.at_s) - 1) / CONV.at_s[-1]
    alone = replace(AZURE, services=(CONV,))
    for seed in range(3):
        trace = w1(alone, seed=seed, rate=rate)
        assert len(trace) == pytest.approx(rate * of_trace * 300, abs=1)
        assert trace.at_s[-1] > 295


def test_w1_keeps_the_bursts_at_any_rate() -> None:
    code = replace(AZURE, services=(AZURE.service("code"),))
    whole = cv(AZURE.service("code").at_s)
    for rate in (1.0, 10.0):
        # As many requests as the trace has, so that all of its silences are in the window.
        minutes = 8819 / 2.2 / 60 / rate
        assert cv(w1(code, seed=1, rate=rate, minutes=minutes).at_s) == pytest.approx(whole, rel=0.15)
    assert (
        cv(np.sort(np.random.default_rng(0).random(8819))) < 1.1
    )  # what thinning towards Poisson would give


def test_w1_merges_services_by_time() -> None:
    one, other = mine([0, 2, 4], [1] * 3).services[0], mine([1, 3, 5], [2] * 3).services[0]
    data = replace(mine([0]), services=(one, other))
    prompts = w1(data, seed=0, minutes=1, rate=20).prompt
    assert set(np.abs(np.diff(prompts)).tolist()) == {1}


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 1.5])
def test_w1_apps_follow_zipf(alpha: float) -> None:
    trace = w1(AZURE, seed=0, alpha=alpha, minutes=60, apps=20)
    assert trace.shares == pytest.approx(zipf(20, alpha))
    counts = np.bincount(trace.app, minlength=20)
    expected = len(trace) * zipf(20, alpha)
    assert ((counts - expected) ** 2 / expected).sum() < 50  # chi-square, 19 degrees of freedom


def test_the_prompt_is_cut_and_not_the_answer_and_the_share_is_reported() -> None:
    data = mine([0, 1, 2, 3], [100, 50, 90, 91], [10, 60, 10, 10])
    trace = w1(data, seed=0, context=100, minutes=4 / 60)
    assert dict(zip(trace.output.tolist(), trace.prompt.tolist(), strict=True)) == {60: 40, 10: 90}
    assert trace.clipped == 0.75
    # An answer that fills the context leaves its prompt one token.
    trace = w1(mine([0, 1], [5, 5], [100, 300]), seed=0, context=100, minutes=1)
    assert set(trace.prompt.tolist()) == {1} and set(trace.output.tolist()) == {99} and trace.clipped == 1


def test_a_trace_sped_up_is_the_same_requests_in_less_time() -> None:
    trace = w1(AZURE, seed=0)
    fast = trace.scaled(4)
    assert fast.at_s == pytest.approx(trace.at_s / 4) and fast.minutes == 1.25
    assert fast.rate_rps == pytest.approx(4 * trace.rate_rps) and fast.prompt is trace.prompt
    assert fast.label == f"{trace.label}, sped up 4×"
    with pytest.raises(UserError, match="factor is 0; it must be above 0"):
        trace.scaled(0)


# W2


def test_w2_tenants_have_the_clients_shares_of_the_load() -> None:
    trace = w2(CLIENTS, seed=0, load_rps=50, minutes=60, conv=CONV)
    rates = np.array([client.rate_rps for client in CLIENTS.clients])
    assert trace.shares == pytest.approx(rates / rates.sum())
    assert trace.rate_rps == pytest.approx(50, rel=0.05)
    for app in np.argsort(rates)[-10:]:
        expected = trace.shares[app] * len(trace)
        assert abs((trace.app == app).sum() - expected) < 5 * CLIENTS.clients[app].cv * expected**0.5


def test_w2_tenants_keep_their_bursts_whatever_the_load() -> None:
    for load in (20.0, 200.0):
        trace = w2(CLIENTS, seed=0, load_rps=load, minutes=100_000 / 60 / load, conv=CONV)
        for app, client in enumerate(CLIENTS.clients):
            at_s = trace.at_s[trace.app == app]
            assert len(at_s) < 3000 or cv(at_s) == pytest.approx(client.cv, rel=0.15)


def test_w2_lengths_are_the_clients_own_or_all_of_conv() -> None:
    own, conv = (
        w2(CLIENTS, seed=0, load_rps=50, conv=CONV, lengths=which, context=10**6) for which in ("own", "conv")
    )
    assert (own.at_s == conv.at_s).all() and (own.app == conv.app).all()  # only the lengths differ
    pairs = set(zip(CONV.prompt.tolist(), CONV.output.tolist(), strict=True))
    for app, client in enumerate(CLIENTS.clients):
        mine = own.app == app
        if client.prompts and client.outputs:
            assert set(own.prompt[mine]) <= set(client.prompts.tokens)
            assert set(own.output[mine]) <= set(client.outputs.tokens)
        else:
            assert (own.prompt[mine] == conv.prompt[mine]).all()
    assert set(zip(conv.prompt.tolist(), conv.output.tolist(), strict=True)) <= pairs
    assert "W2a" in own.label and "W2b" in conv.label and conv.label.endswith("of conv")


def test_w2_without_a_service_takes_the_published_quantiles_and_says_so() -> None:
    trace = w2(CLIENTS, seed=0, load_rps=50, lengths="conv")
    assert trace.label.endswith("of the quantiles of Azure's conv")
    assert np.median(trace.output) == pytest.approx(129, rel=0.05)


# W3


@pytest.mark.parametrize("variation", [1.0, 4.0, 8.0])
@pytest.mark.parametrize("together", [True, False])
def test_w3_gaps_vary_as_asked_for_in_one_stream_or_per_app(variation: float, together: bool) -> None:
    trace = w3(cv=variation, rate_rps=20, seed=1, minutes=120, together=together, apps=4)
    assert trace.rate_rps == pytest.approx(20, rel=0.1)
    if together:
        assert cv(trace.at_s) == pytest.approx(variation, rel=0.1)
    else:
        assert cv(trace.at_s[trace.app == 0]) == pytest.approx(variation, rel=0.1)
        assert variation == 1 or cv(trace.at_s) < 0.9 * variation  # bursts of different apps even out
    assert np.median(trace.prompt) == pytest.approx(1020, rel=0.02)
    assert trace.output.mean() == pytest.approx(211, rel=0.03)


# Draws


@pytest.mark.parametrize(("family", "shape"), [("Gamma", 1 / 64), ("Gamma", 2.0), ("Weibull", 0.4)])
def test_arrivals_have_the_rate_from_the_first_second_on(family: Family, shape: float) -> None:
    def counts() -> np.ndarray:
        return np.array(
            [len(renewals(np.random.default_rng(k), family, shape, 1.0, 50)) for k in range(3000)]
        )

    drawn = counts()
    assert abs(drawn.mean() - 50) < 4 * drawn.std() / 3000**0.5


def test_the_check_of_rates_finds_arrivals_that_start_with_a_gap(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_a_gap(rng: np.random.Generator, *law: Any) -> np.ndarray:
        family, shape, rate, seconds = law
        assert family == "Gamma"
        times = np.cumsum(rng.gamma(shape, 1 / (rate * shape), 4000))
        return times[times < seconds]

    monkeypatch.setitem(globals(), "renewals", from_a_gap)
    with pytest.raises(AssertionError):
        test_arrivals_have_the_rate_from_the_first_second_on("Gamma", 1 / 64)


@given(
    seed=st.integers(0, 2**32),
    shape=st.floats(0.1, 5),
    rate=st.floats(0.01, 100),
    seconds=st.floats(0.1, 20),
    family=st.sampled_from(["Gamma", "Weibull"]),
)
def test_arrivals_are_ordered_within_time_and_a_longer_time_begins_the_same(
    seed: int, shape: float, rate: float, seconds: float, family: Family
) -> None:
    short, long = (
        renewals(np.random.default_rng(seed), family, shape, rate, s) for s in (seconds, 2 * seconds)
    )
    assert (np.diff(short) >= 0).all() and (short >= 0).all() and (short < seconds).all()
    assert np.allclose(long[: len(short)], short) and (long[len(short) :] >= seconds * (1 - 1e-9)).all()


@given(weights=st.lists(st.floats(1e-3, 1), min_size=1, max_size=30), seed=st.integers(0, 2**32))
def test_picks_are_places_in_proportion_to_their_shares(weights: list[float], seed: int) -> None:
    shares = np.array(weights) / sum(weights)
    picked = pick(np.random.default_rng(seed), shares, 4000)
    assert picked.dtype == np.int64 and picked.min() >= 0 and picked.max() < len(shares)
    expected = 4000 * shares
    counts = np.bincount(picked, minlength=len(shares))
    assert (abs(counts - expected) < 7 * (expected + 1) ** 0.5).all()


def test_a_share_sum_below_one_by_rounding_leaves_no_draw_without_a_place() -> None:
    class Last(np.random.Generator):
        def random(self, *size: Any, **more: Any) -> Any:
            return np.full(size, 1 - 2**-53)

    shares = np.full(10, 0.1)
    assert np.cumsum(shares)[-1] < 1
    assert pick(Last(np.random.PCG64()), shares, 3).tolist() == [9, 9, 9]


def test_tokens_are_drawn_by_their_probability() -> None:
    pmf = Pmf(np.array([3, 70, 500]), np.array([0.7, 0.2, 0.1]))
    drawn = sample(np.random.default_rng(0), pmf, 20_000)
    assert [np.mean(drawn == token) for token in (3, 70, 500)] == pytest.approx([0.7, 0.2, 0.1], abs=0.02)


def test_lognormal_lengths_have_the_median_and_mean_asked_for() -> None:
    drawn = lognormal(np.random.default_rng(0), 129, 211, 200_000)
    assert drawn.dtype == np.int64 and drawn.min() >= 1
    assert np.median(drawn) == pytest.approx(129, rel=0.02) and drawn.mean() == pytest.approx(211, rel=0.02)


# Refusals

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


# Real data


@pytest.fixture(scope="module")
def real() -> tuple[Services, servegen_loader.Clients]:
    return (
        azure_llm_2023.load(azure_llm_2023.Request(), DATA / "azure_llm_2023"),
        servegen_loader.load(servegen_loader.Request(), DATA / "servegen"),
    )


@needs_real
@pytest.mark.parametrize(("context", "share"), [(4096, 0.1016), (2048, 0.2198)])
def test_the_clipped_share_of_the_whole_real_w1(
    real: tuple[Services, servegen_loader.Clients], context: int, share: float
) -> None:
    trace = w1(real[0], seed=0, minutes=3513.3 / 60, context=context)
    check(trace, context)
    assert len(trace) == pytest.approx(28_185, abs=3)
    assert trace.clipped == pytest.approx(share, abs=0.001)


@needs_real
@pytest.mark.parametrize(
    ("lengths", "context", "low", "high"),
    [
        ("own", 4096, 0.005, 0.02),
        ("own", 2048, 0.01, 0.03),
        ("conv", 4096, 0.075, 0.095),
        ("conv", 2048, 0.13, 0.16),
    ],
)
def test_the_clipped_share_of_the_real_w2(
    real: tuple[Services, servegen_loader.Clients], lengths: Any, context: int, low: float, high: float
) -> None:
    azure, clients = real
    trace = w2(
        clients, seed=0, load_rps=10, lengths=lengths, conv=azure.service("conv"), minutes=60, context=context
    )
    check(trace, context)
    assert low < trace.clipped < high


@needs_real
def test_real_windows_of_five_minutes_hold_the_mean_load(
    real: tuple[Services, servegen_loader.Clients],
) -> None:
    assert {len(w1(real[0], seed=seed)) for seed in range(20)} == {2407}


def test_the_draws_have_no_state_of_their_own() -> None:
    before = {name: repr(value) for name, value in vars(draws).items() if not name.startswith("__")}
    for make in WORKLOADS.values():
        make(1)
    assert before == {name: repr(value) for name, value in vars(draws).items() if not name.startswith("__")}
