"""The event loop against an independent one: the same requests end at the same moments."""

from __future__ import annotations

from dataclasses import replace

import pytest
from blockllm.sim_fakes import Linear, cluster, random_trace, tenants
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.sim import engine
from remeasure.impls.blockllm.sim.config import Serving
from remeasure.impls.blockllm.sim.simulate import prepare
from remeasure.impls.blockllm.sim.systems import BLOCKLLM, PM, PS

pytest.importorskip("simpy")
from blockllm.sim_simpy import Reference  # after the skip

COSTS = Linear()
APPS = tenants("foundation", "pe", "top", "full")


def plain(serving: Serving, **fields: object) -> Serving:
    """Without what the reference does not know: choices, copies, ageing, growing and shrinking."""
    fixed = replace(
        serving,
        age_s=1e9,
        replica_share=0.0,
        kv="owner",
        assembly=False,
        speculation="off",
        scaling=False,
        kv_reserve=0.0,
        batch="global",
    )
    return replace(fixed, **fields)  # type: ignore[arg-type]


SYSTEMS = {
    "PM": plain(PM),
    "PM, small batches": plain(PM, max_batch=3),
    "PM, one at a time": plain(PM, max_batch=1),
    "PM, small prefills": plain(PM, prefill_tokens=64),
    "PS": plain(PS),
    "BlockLLM": plain(BLOCKLLM),
    "BlockLLM, scattered": plain(BLOCKLLM, placement="random"),
    "BlockLLM, layers, scattered": plain(BLOCKLLM, granularity="layer", placement="random"),
    "BlockLLM, halves, round robin": plain(BLOCKLLM, granularity="half", placement="round_robin"),
}


def both(serving, servers, trace, seed):
    """First and last tokens by the engine, and by the reference."""
    machines = cluster(*servers)
    ours = prepare(serving, machines, APPS, trace, COSTS, seed)
    world = ours.world
    gpu_of = {instance.segment.id: instance.gpu.id for instance in world.instances}
    limits = {instance.segment.id: instance.limit for instance in world.instances}
    ours.run()
    reference = Reference(
        world.content,
        gpu_of,
        limits,
        machines.between(),
        machines.links,
        COSTS,
        serving.prefill_tokens,
        serving.hop_overhead_us / 1e6,
        serving.delta_us_per_row_group / 1e6,
    )
    return (world.first, world.finish), reference.completions(trace)


def agree(found, expected):
    """To a tenth of a nanosecond: both add the same terms, in another order."""
    for ours, theirs in zip(found, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=0, abs=1e-10)


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    servers=st.sampled_from([(1,), (2,), (2, 1), (1, 1, 2)]),
    per_s=st.sampled_from([5.0, 40.0, 400.0]),
)
def test_requests_end_when_simpy_says_they_do(name, seed, servers, per_s):
    agree(*both(SYSTEMS[name], servers, random_trace(seed, requests=40, per_s=per_s), seed))


def test_a_loop_that_serves_the_wrong_instance_first_is_noticed(monkeypatch):
    """The mutant takes the instance that has waited shortest."""

    class Hasty(engine.Engine):
        def start(self, gpu):
            gpu.ready.reverse()
            super().start(gpu)

    monkeypatch.setattr("remeasure.impls.blockllm.sim.simulate.Engine", Hasty)
    with pytest.raises(AssertionError):
        agree(*both(SYSTEMS["PM"], (1,), random_trace(1, requests=60, per_s=400.0), 1))


def test_a_loop_that_forgets_a_hop_is_noticed(monkeypatch):
    """The mutant sends requests over links in no time."""
    monkeypatch.setattr("remeasure.impls.blockllm.sim.world.World.link", lambda world, source, target: 0)
    with pytest.raises(AssertionError):
        agree(*both(SYSTEMS["BlockLLM, scattered"], (2, 1), random_trace(1, requests=60), 1))
