"""Loading, swapping, growing, shrinking and substituting: times by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blockllm.sim_fakes import TINY, Linear, asked, cluster, random_trace, tenants
from blockllm.sim_watch import Watch

from remeasure.impls.blockllm.sim.cost.network import Link
from remeasure.impls.blockllm.sim.simulate import prepare, simulate
from remeasure.impls.blockllm.sim.systems import BLOCKLLM, PM, STRAWMAN

COSTS = Linear(cached=0.0)
LOAD_S = TINY.model_bytes / 1e7
PROMPT_S = 8 * (0.5e-3 + 0.05e-3 * 10) + 0.25e-3
STEP_S = 8 * (0.5e-3 + 0.05e-3) + 0.25e-3


def test_the_strawman_exchanges_whole_models():
    """Two apps on one GPU in turn: every request waits for its model."""
    trace = asked([1.0, 2.0, 3.0], [0, 1, 0], [10] * 3, [3] * 3)
    serving = replace(STRAWMAN, kv_reserve=0.0)
    seen = simulate(serving, cluster(1), tenants("full", "full"), trace, COSTS, 0)
    taken = (seen.first_s - seen.arrival_s).tolist()
    # One of them is there at the beginning.
    assert taken[1:] == pytest.approx([LOAD_S + PROMPT_S] * 2)
    assert seen.counts.loads == 2 + (taken[0] > PROMPT_S + 1e-9)
    assert seen.finish_s - seen.first_s == pytest.approx(2 * STEP_S)


def test_requests_of_the_strawman_run_to_their_end_one_after_the_other():
    trace = asked([1.0, 1.0001], [0, 0], [10] * 2, [3] * 2)
    serving = replace(STRAWMAN, kv_reserve=0.0)
    seen = simulate(serving, cluster(1), tenants("full"), trace, COSTS, 0)
    one = PROMPT_S + 2 * STEP_S
    assert seen.finish_s.tolist() == pytest.approx([1 + one, 1 + 2 * one])


def test_something_cold_gets_its_turn_though_others_never_rest():
    """PM on one GPU that holds one of two models; app 0 is asked without pause, app 1 once."""
    n = 400
    at = np.sort(np.append(np.arange(n) * 0.02, 1.0))
    app = (at == 1.0).astype(int)
    app[int(np.flatnonzero(app)[0])] = 1
    app = np.where(np.cumsum(app) == 1, app, 0)
    trace = asked(at, app, [10] * (n + 1), [20] * (n + 1), 2)
    serving = replace(PM, kv_reserve=0.8, replica_share=0.0, age_s=0.5)
    room = 2 * TINY.model_bytes + TINY.kv_bytes_per_token * TINY.context - 1
    watch = Watch()
    seen = simulate(serving, cluster(1, room=room), tenants("full", "full"), trace, COSTS, 0, observe=watch)
    lone = int(np.flatnonzero(trace.app == 1)[0])
    wait = seen.first_s[lone] - seen.arrival_s[lone]
    assert seen.counts.loads == 2
    assert 0.5 <= wait <= 0.5 + 2 * LOAD_S + 1.0
    assert (seen.status == 0).all()


def crowd(seconds=4.0, per_s=300.0, seed=0, app=0):
    requests = int(seconds * per_s)
    trace = random_trace(seed, requests=requests, apps=1, per_s=per_s, prompt=40, output=20)
    return trace if not app else replace(trace, app=trace.app + app)


GROWING = replace(
    PM, scaling=True, window_s=0.25, grow_after=2, replica_share=0.0, kv_reserve=0.1, max_batch=8
)


def test_a_block_whose_prompts_wait_gets_a_copy_and_waits_less():
    trace = crowd()
    fixed, grown = (
        simulate(serving, cluster(2, 2, room=60_000), tenants("full"), trace, COSTS, 0)
        for serving in (replace(GROWING, scaling=False), GROWING)
    )
    assert grown.counts.grown >= 1 and grown.blocks.instances.tolist() == [1 + grown.counts.grown]
    assert np.mean(grown.first_s - grown.arrival_s) < 0.5 * np.mean(fixed.first_s - fixed.arrival_s)


def test_a_copy_serves_nobody_before_it_is_loaded():
    slow = cluster(2, 2, room=60_000, loader=Link(0.0, TINY.model_bytes / 1.5))
    engine = prepare(GROWING, slow, tenants("full"), crowd(), COSTS, 0)
    began: dict[int, float] = {}

    def look(world):
        for instance in world.instances:
            if instance.iterations:
                began.setdefault(instance.id, world.now)

    engine.run(observe=look)
    first_decision = GROWING.window_s * GROWING.grow_after
    assert len(began) > 1
    assert all(at >= first_decision + 1.5 for number, at in began.items() if number)


def test_copies_that_are_idle_go_again_and_the_last_one_stays():
    busy = crowd(seconds=3.0)
    later = asked(
        np.concatenate([busy.at_s, 30 + np.arange(20)]),
        np.zeros(len(busy.at_s) + 20, int),
        np.concatenate([busy.prompt, np.full(20, 10)]),
        np.concatenate([busy.output, np.full(20, 3)]),
    )
    seen = simulate(GROWING, cluster(2, 2, room=60_000), tenants("full"), later, COSTS, 0, observe=Watch())
    assert seen.counts.grown and seen.counts.shrunk == seen.counts.grown
    assert seen.blocks.instances.tolist() == [1]


def test_growing_stops_where_memory_ends():
    seen = simulate(GROWING, cluster(1, room=60_000), tenants("full"), crowd(), COSTS, 0)
    assert not seen.counts.grown


CHAINS = tenants("foundation", "top", "top", top=0.5)
SUBSTITUTES = replace(
    BLOCKLLM,
    equivalent_share=1.0,
    theta=2.0,
    speculation="off",
    scaling=False,
    replica_share=0.0,
    kv_reserve=0.0,
    placement="round_robin",
    hop_overhead_us=0.0,
    max_batch=4,
    batch="global",
)


def test_a_congested_block_is_replaced_and_waits_get_shorter():
    n = 300
    trace = asked(np.arange(n) / 200, [1] * n, [40] * n, [10] * n, 3)
    kept, replaced = (
        simulate(replace(SUBSTITUTES, assembly=on), cluster(4), CHAINS, trace, COSTS, 0)
        for on in (False, True)
    )
    assert not kept.counts.substituted
    assert 0 < replaced.counts.substituted < n
    assert np.mean(replaced.finish_s - replaced.arrival_s) < np.mean(kept.finish_s - kept.arrival_s)


def test_without_an_allowed_equivalent_nothing_is_replaced():
    n = 300
    trace = asked(np.arange(n) / 200, [1] * n, [40] * n, [10] * n, 3)
    serving = replace(SUBSTITUTES, equivalent_share=0.0)
    assert not simulate(serving, cluster(4), CHAINS, trace, COSTS, 0).counts.substituted


def test_a_quiet_block_is_not_replaced():
    trace = asked([1.0, 2.0, 3.0], [1] * 3, [40] * 3, [10] * 3, 3)
    assert not simulate(SUBSTITUTES, cluster(4), CHAINS, trace, COSTS, 0).counts.substituted


def test_requests_longer_than_the_context_are_refused_and_counted():
    trace = asked([1.0, 2.0], [0, 0], [250, 10], [20, 5])
    seen = simulate(PM, cluster(1), tenants("full"), trace, COSTS, 0)
    assert seen.status.tolist() == [1, 0] and seen.counts.rejected == 1
