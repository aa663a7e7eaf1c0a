"""The event loop against an independent one: the same requests end at the same moments."""

from __future__ import annotations

import pytest
from blockllm.sim_fakes import Linear, cluster, random_trace, tenants
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.on_simpy import both
from remeasure.impls.blockllm.sim import engine
from remeasure.impls.blockllm.sim.state import take_out
from remeasure.impls.blockllm.sim.systems import BLOCKLLM, PM, PS, plain

pytest.importorskip("simpy")

COSTS = Linear()
APPS = tenants("foundation", "pe", "top", "full")
SYSTEMS = {
    "PM": plain(PM),
    "PM, small batches": plain(PM, max_batch=3),
    "PM, one at a time": plain(PM, max_batch=1),
    "PM, small prefills": plain(PM, prefill_tokens=64),
    "PS": plain(PS),
    "BlockLLM": plain(BLOCKLLM),
    "BlockLLM, in turn": plain(BLOCKLLM, turns="round", placement="random"),
    "BlockLLM, scattered": plain(BLOCKLLM, placement="random"),
    "BlockLLM, small batches, scattered": plain(BLOCKLLM, max_batch=3, placement="random"),
    "BlockLLM, layers, scattered": plain(BLOCKLLM, granularity="layer", placement="random"),
    "BlockLLM, halves, round robin": plain(BLOCKLLM, granularity="half", placement="round_robin"),
}


def found(serving, servers, trace, seed):
    """First and last tokens by the engine, and by SimPy."""
    return both(serving, cluster(*servers), APPS, trace, COSTS, seed)


def agree(ours, theirs):
    """To a tenth of a nanosecond: both add the same terms, in another order."""
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=0, abs=1e-10)


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    servers=st.sampled_from([(1,), (2,), (2, 1), (1, 1, 2)]),
    per_s=st.sampled_from([5.0, 40.0, 400.0]),
)
def test_requests_end_when_simpy_says_they_do(name, seed, servers, per_s):
    agree(*found(SYSTEMS[name], servers, random_trace(seed, requests=40, per_s=per_s), seed))


def test_a_loop_that_serves_the_wrong_instance_first_is_noticed(monkeypatch):
    """The mutant takes the instance that has waited shortest."""

    class Hasty(engine.Engine):
        def start(self, gpu):
            gpu.ready.reverse()
            super().start(gpu)

    monkeypatch.setattr("remeasure.impls.blockllm.sim.simulate.Engine", Hasty)
    with pytest.raises(AssertionError):
        agree(*found(SYSTEMS["PM"], (1,), random_trace(1, requests=60, per_s=400.0), 1))


def test_a_loop_that_forgets_a_hop_is_noticed(monkeypatch):
    """The mutant sends requests over links in no time."""
    monkeypatch.setattr("remeasure.impls.blockllm.sim.world.World.link", lambda world, source, target: 0)
    with pytest.raises(AssertionError):
        agree(*found(SYSTEMS["BlockLLM, scattered"], (2, 1), random_trace(1, requests=60), 1))


def test_a_loop_that_knows_whose_answer_is_short_is_noticed(monkeypatch):
    """The mutant takes requests as they lie in a cohort's heap: those that end soon before others."""

    def knowing(self, cohort, rows):
        return take_out(cohort, cohort.rows[:rows], self.world.prompt, self.world.output)

    monkeypatch.setattr(engine.Engine, "_front", knowing)
    with pytest.raises(AssertionError):
        small = SYSTEMS["BlockLLM, small batches, scattered"]
        agree(*found(small, (2, 1), random_trace(1, requests=60, per_s=400.0), 1))
