"""The event loop against queueing theory: waits of M/M/1, M/M/c and M/D/1."""

from __future__ import annotations

from dataclasses import replace
from math import factorial, inf

import numpy as np
import pytest
from blockllm.sim_fakes import LONG, ONLY_PROMPTS, asked, cluster, tenants

from remeasure.impls.blockllm.sim.engine import Engine
from remeasure.impls.blockllm.sim.simulate import simulate
from remeasure.impls.blockllm.sim.systems import PM

ONE_AT_A_TIME = replace(PM, max_batch=1, age_s=inf, binding="late", replica_share=0.0, kv_reserve=0.0)
MEAN_TOKENS = 1000  # a second
REQUESTS = 60_000


def waits(servers, load, seed, lengths="exponential", serving=ONE_AT_A_TIME, requests=REQUESTS):
    """Seconds that requests wait at `servers` equal GPUs which are busy for a share `load` of the time."""
    rng = np.random.default_rng(seed)
    at = np.cumsum(rng.exponential(1.0 / (load * servers), requests))
    tokens = np.full(requests, MEAN_TOKENS)
    if lengths == "exponential":
        tokens = np.clip(np.ceil(rng.exponential(MEAN_TOKENS, requests)), 1, LONG.context - 1)
    trace = asked(at, np.zeros(requests, int), tokens, np.ones(requests, int))
    serving = replace(serving, replica_share=1.0 if servers > 1 else 0.0)
    seen = simulate(
        serving, cluster(servers, room=10_000_000), tenants("foundation", shape=LONG), trace, ONLY_PROMPTS, 0
    )
    assert seen.blocks.instances.tolist() == [servers]
    return seen.finish_s - seen.arrival_s - tokens / MEAN_TOKENS


def erlang_c(servers, load):
    """Mean wait of M/M/c in units of the mean service."""
    offered = servers * load
    full = offered**servers / (factorial(servers) * (1 - load))
    waiting = full / (sum(offered**k / factorial(k) for k in range(servers)) + full)
    return waiting / (servers * (1 - load))


def interval(values, blocks=50):
    """95 % interval of the mean of a correlated series, from the means of consecutive blocks."""
    means = np.array([part.mean() for part in np.array_split(values, blocks)])
    half = 2.01 * means.std(ddof=1) / np.sqrt(blocks)
    return means.mean() - half, means.mean() + half


@pytest.mark.parametrize("servers,load", [(1, 0.5), (1, 0.8), (3, 0.7), (4, 0.8)])
def test_waits_are_those_of_mmc(servers, load):
    low, high = interval(waits(servers, load, seed=servers))
    assert low <= erlang_c(servers, load) <= high
    assert high - low < 0.5 * erlang_c(servers, load)


def test_waits_are_those_of_md1():
    low, high = interval(waits(1, 0.7, seed=5, lengths="constant"))
    assert low <= 0.7 / (2 * (1 - 0.7)) <= high


def test_waits_of_the_strawman_are_those_of_separate_queues():
    """binding=early on one server is the same single queue."""
    low, high = interval(waits(1, 0.6, seed=9, serving=replace(ONE_AT_A_TIME, binding="early")))
    assert low <= erlang_c(1, 0.6) <= high


def test_a_loop_that_forgets_to_restart_is_noticed(monkeypatch):
    """BLIS found a waiting time off by 151,000 % by such a check: the mutant misses one restart in fifty."""
    turns = iter(range(10**9))
    start = Engine.start

    def forgetful(self, gpu):
        if next(turns) % 50:
            start(self, gpu)

    monkeypatch.setattr(Engine, "start", forgetful)
    low, high = interval(waits(1, 0.5, seed=1, requests=20_000))
    assert not low <= erlang_c(1, 0.5) <= high
