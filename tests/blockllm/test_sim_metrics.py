"""Figures of a simulation against values by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from blockllm.cost_steps import whole
from blockllm.sim_fakes import TINY, Linear, asked, cluster, random_trace, tenants

from remeasure.impls.blockllm.sim import metrics
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B
from remeasure.impls.blockllm.sim.cost.work import work
from remeasure.impls.blockllm.sim.metrics import Slo, summary
from remeasure.impls.blockllm.sim.simulate import simulate
from remeasure.impls.blockllm.sim.speed import bare_pops_per_s
from remeasure.impls.blockllm.sim.systems import BLOCKLLM, PM
from remeasure.impls.blockllm.sim.tenants import Tenant
from remeasure.impls.blockllm.sim.tuning import SPACES, tune
from remeasure.impls.blockllm.tuned import UNTUNED

COSTS = Linear(cached=0.0)


def served(trace, serving=PM, apps=("full",), until_s=np.inf, machines=None):
    return simulate(serving, machines or cluster(1), tenants(*apps), trace, COSTS, 0, until_s=until_s)


def test_times_of_one_request_are_those_by_hand():
    seen = served(asked([1.0], [0], [10], [5]))
    figures = summary(seen, warm_up=0.0)
    prompt, step = 8 * (0.5e-3 + 0.5e-3) + 0.25e-3, 8 * (0.5e-3 + 0.05e-3) + 0.25e-3
    assert figures["TTFT median s"] == pytest.approx(prompt)
    assert figures["TPOT median s"] == pytest.approx(step)
    assert figures["latency p95 s"] == pytest.approx(prompt + 4 * step)
    assert figures["utilisation, time"] == pytest.approx((prompt + 4 * step) / seen.end_s)
    assert figures["rows per iteration"] == pytest.approx(4 / 5)


def test_operations_and_bytes_are_those_of_the_cost_models_own_count():
    """A prompt and its steps on the real sizes, against `cost.work`, activations apart."""
    trace = asked([1.0], [0], [10], [4])
    machines = replace(cluster(1), gpu_bytes=60e9)
    seen = simulate(PM, machines, (Tenant(LLAMA_7B, "full"),), trace, COSTS, 0)
    steps = [whole(prefills=[(10, 0)]), *(whole(1, context) for context in (11, 12, 13))]
    done = [work(LLAMA_7B, step) for step in steps]
    assert seen.gpus.flops.sum() == pytest.approx(sum(each.flops for each in done), rel=1e-6)
    assert seen.gpus.nbytes.sum() == pytest.approx(sum(each.nbytes for each in done), rel=0.01)


def test_requests_that_are_lost_are_infinitely_late():
    trace = asked([1.0, 2.0, 3.0], [0] * 3, [250, 10, 10], [20, 5, 5])
    refused = summary(served(trace), warm_up=0.0)
    assert refused["latency p95 s"] == np.inf and refused["latency median s"] < 1
    assert refused["not completed"] == 1
    stopped = served(trace, until_s=2.5)
    assert stopped.status.tolist() == [1, 0, 2]
    assert summary(stopped, warm_up=0.0)["not completed"] == 2


def test_goodput_counts_requests_within_both_limits():
    trace = asked([1.0, 2.0], [0, 0], [10, 200], [5, 5])
    seen = served(trace)
    assert summary(seen, Slo(0.02, 0.1), warm_up=0.0)["goodput share"] == 0.5
    assert summary(seen, Slo(9.0, 0.001), warm_up=0.0)["goodput share"] == 0.0
    assert summary(seen, Slo(9.0, 1.0), warm_up=0.0)["goodput share"] == 1.0


def test_cold_apps_are_those_asked_less_than_half_as_often_as_the_mean():
    trace = asked(np.arange(1, 13), [0] * 7 + [1] * 4 + [2], [10] * 12, [5] * 12)
    seen = served(trace, apps=("full",) * 3)
    assert metrics.cold(seen).tolist() == [False] * 11 + [True]


def test_fairness_is_one_for_equals_and_falls_with_difference():
    alike = asked(np.arange(1, 9), [0, 1] * 4, [10] * 8, [5] * 8)
    apart = asked(np.arange(1, 9), [0, 1] * 4, [10, 250] * 4, [5] * 8)
    assert metrics.fairness(served(alike, apps=("full", "full"))) == pytest.approx(1.0)
    assert metrics.fairness(served(apart, apps=("full", "full"))) < 0.9


def test_a_backlog_that_grows_is_seen_and_one_that_does_not_is_not():
    quiet = random_trace(1, requests=300, apps=1, per_s=5.0)
    flood = random_trace(1, requests=600, apps=1, per_s=2000.0)
    assert not metrics.growing(served(quiet))
    assert metrics.growing(served(flood, serving=replace(PM, max_batch=2)))


def test_mean_backlog_is_arrival_rate_times_mean_time():
    """Little's law over a long run."""
    trace = random_trace(2, requests=4000, apps=1, per_s=20.0)
    seen = served(trace)
    low, high = metrics.backlog(seen)
    rate = len(trace.at_s) / trace.at_s[-1]
    mean = rate * float(np.mean(seen.finish_s - seen.arrival_s))
    assert (low + high) / 2 == pytest.approx(mean, rel=0.15)


def test_the_first_tenth_is_left_out():
    trace = random_trace(2, requests=100, apps=1)
    assert metrics.kept(served(trace)).sum() == 90


def test_a_summary_is_plain_numbers_and_the_same_bytes_each_time():
    trace = random_trace(4, requests=80, apps=4, per_s=200.0)
    serving = replace(BLOCKLLM, max_batch=8, window_s=0.1)
    texts = {
        json.dumps(
            summary(
                simulate(serving, cluster(2, 1), tenants("foundation", "pe", "top", "full"), trace, COSTS, 4)
            )
        )
        for _ in range(2)
    }
    assert len(texts) == 1
    assert all(type(value) is float for value in json.loads(texts.pop()).values())


def test_every_system_gets_as_many_trials():
    assert {prod(map(len, space.values())) for space in SPACES.values()} == {30}
    assert set(SPACES) == set(UNTUNED)
    best, trials = tune(
        PM, SPACES["pm"], lambda s: abs(s.max_batch - 64) + s.replica_share + (s.binding == "late")
    )
    assert (best.max_batch, best.replica_share, best.binding) == (64, 0.0, "early")
    assert len(trials) == 30 and min(trial.value for trial in trials) == 0


def test_a_bare_heap_is_timed():
    assert bare_pops_per_s(2000) > 0
    assert TINY.layers
