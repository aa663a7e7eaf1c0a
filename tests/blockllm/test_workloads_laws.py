"""W1, W2 and W3 one by one: each has the load, the bursts, the apps and the lengths that its name stands for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blockllm.workload_traces import AZURE, CLIENTS, CONV, cv, mine

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.draws import zipf
from remeasure.impls.blockllm.sim.workloads import w1, w2, w3


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
