"""Invariants of spec §6 on random small scenarios, each with a mutant that the same check catches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from blockllm.sim_fakes import Linear, cluster, random_trace, tenants
from blockllm.sim_watch import Watch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from remeasure.impls.blockllm.sim import admission, engine, residency, speculation, state
from remeasure.impls.blockllm.sim.cost.network import Link
from remeasure.impls.blockllm.sim.simulate import simulate
from remeasure.impls.blockllm.sim.systems import BLOCKLLM, IDEAL, PM, PS, STRAWMAN

COSTS = Linear()
APPS = tenants("foundation", "pe", "top", "full", "pe", "top")
ROOMY = {"kv_reserve": 0.2, "max_batch": 8, "window_s": 0.2, "grow_after": 1, "shrink_after": 2, "age_s": 0.2}
QUICK = replace(BLOCKLLM, **ROOMY, replica_share=0.5, hop_overhead_us=100.0)
SYSTEMS = {
    "strawman": replace(STRAWMAN, kv_reserve=0.2),
    "PM": replace(PM, **ROOMY),
    "PM, late": replace(PM, **ROOMY, binding="late", replica_share=0.5),
    "PM, scaling": replace(PM, **ROOMY, scaling=True, replica_share=0.2),
    "PS": replace(PS, **ROOMY, replica_share=0.3),
    "BlockLLM": QUICK,
    "BlockLLM, late": replace(QUICK, binding="late"),
    "BlockLLM, fifo": replace(QUICK, order="fifo"),
    "BlockLLM, one batch": replace(QUICK, batch="global"),
    "BlockLLM, any instance": replace(QUICK, kv="random", speculation="off"),
    "BlockLLM, any instance, recompute": replace(QUICK, kv="random", kv_move="recompute", speculation="off"),
    "BlockLLM, kept inputs": replace(
        QUICK, kv="random", kv_move="recompute", recompute="boundary_cache", speculation="off"
    ),
    "BlockLLM, next step only": replace(QUICK, horizon="step", granularity="layer"),
    "BlockLLM, substitutes at any time": replace(
        QUICK, substitute="any", equivalent_share=1.0, horizon="step", speculation="off"
    ),
    "BlockLLM, halves, scattered": replace(QUICK, granularity="half", placement="random"),
    "BlockLLM, exact": replace(QUICK, speculation="exact", surrogate_time=0.1),
    "BlockLLM, tolerant, scattered": replace(QUICK, placement="round_robin", acceptance=0.5),
    "BlockLLM, always": replace(QUICK, placement="round_robin", speculation="always"),
    "BlockLLM, theta 0": replace(QUICK, theta=0.0, equivalent_share=1.0),
    "Ideal": replace(IDEAL, **ROOMY, replica_share=0.5),
}
ROOMS = st.sampled_from([54_000, 60_000, 120_000, 1_000_000])
"""Bytes of a GPU: a model takes 6,288 and a full context 32,768."""
SERVERS = st.sampled_from([(1,), (2,), (2, 1), (1, 1, 2)])


def served(serving, servers, room, trace, seed, observe=None, costs=COSTS, machines=None):
    machines = machines or cluster(*servers, room=room)
    return simulate(serving, machines, APPS, trace, costs, seed, observe=observe)


def watched(serving, servers, room, trace, seed):
    watch = Watch()
    return served(serving, servers, room, trace, seed, watch), watch


@pytest.mark.parametrize("name", SYSTEMS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), servers=SERVERS, room=ROOMS, per_s=st.sampled_from([5.0, 60.0, 2000.0]))
def test_books_balance_after_every_event_and_everything_ends(name, seed, servers, room, per_s):
    trace = random_trace(seed, requests=30, apps=len(APPS), per_s=per_s, prompt=120, output=40)
    seen, watch = watched(SYSTEMS[name], servers, room, trace, seed)
    assert (seen.status == 0).all()
    assert (seen.arrival_s <= seen.first_s).all() and (seen.first_s <= seen.finish_s).all()
    assert watch.iterations == seen.blocks.iterations.sum()
    recomputed = seen.counts.evicted or seen.counts.recomputed
    if not recomputed and SYSTEMS[name].speculation in ("off", "exact") and not seen.counts.drafted:
        for request in range(len(trace.app)):
            for (who, _), tokens in watch.visits.items():
                if who == request:
                    assert tokens == trace.prompt[request] + trace.output[request] - 1


# --- mutants: the same check refuses a simulator that is wrong in one place ------------------------------


def refused(name, seed=3, servers=(2, 1), room=60_000, per_s=400.0, requests=120):
    trace = random_trace(seed, requests=requests, apps=len(APPS), per_s=per_s, prompt=120, output=40)
    with pytest.raises(AssertionError) as caught:
        watched(SYSTEMS[name], servers, room, trace, seed)
    return str(caught.value)


def test_a_lost_request_is_noticed(monkeypatch):
    """1: the mutant forgets every fifth cohort that arrives over a link."""
    put, turns = engine.World.put_cohort, iter(range(10**9))
    monkeypatch.setattr(engine.World, "put_cohort", lambda w, c: next(turns) % 5 == 4 or put(w, c))
    assert "lost" in refused("BlockLLM, halves, scattered")


def test_a_skipped_block_is_noticed(monkeypatch):
    """2: the mutant's prompts skip the second block."""
    passed = engine.World.post_prompt

    def skip(world, request, source):
        if world.place[request] == 1 and world.paths[request].length > 2:
            world.place[request] = 2
        passed(world, request, source)

    monkeypatch.setattr(engine.World, "post_prompt", skip)
    assert "after" in refused("BlockLLM, halves, scattered")


def test_a_token_too_many_is_noticed(monkeypatch):
    """3: the mutant gives every answer one step more than it has."""
    add = state.add
    monkeypatch.setattr(engine, "add", lambda c, r, left, tokens: add(c, r, left + 1, tokens))
    refused("PM", room=1_000_000)


def test_kv_of_another_block_is_noticed(monkeypatch):
    """4: the mutant substitutes a block in the middle of an answer and does not recompute its KV cache."""
    mutant = replace(SYSTEMS["BlockLLM, substitutes at any time"], kv_reuse="cross_variant")
    trace = random_trace(3, requests=120, apps=len(APPS), per_s=400.0, prompt=120, output=40)
    with pytest.raises(AssertionError, match="another block"):
        watched(replace(mutant, placement="balanced"), (2, 2), 120_000, trace, 3)


def test_memory_that_is_not_given_back_is_noticed(monkeypatch):
    """5: the mutant frees a token less than a request held."""
    end = engine.Engine._end
    monkeypatch.setattr(engine.Engine, "_end", lambda e, r, path, held: end(e, r, path, held - 1))
    assert "books" in refused("PM")


def test_overdrawn_memory_is_noticed(monkeypatch):
    """5: the mutant takes prompts in without looking."""

    def careless(self, request, instance):
        room = [gpu.room for gpu in self.world.gpus]
        for gpu in self.world.gpus:
            gpu.room = 1 << 60
        done = admit(self, request, instance)
        for gpu, was in zip(self.world.gpus, room, strict=True):
            gpu.room = was
        return done

    admit = admission.Admission._admit
    monkeypatch.setattr(admission.Admission, "_admit", careless)
    refused("PM", per_s=2000.0, room=54_000)


def test_an_idle_gpu_with_work_is_noticed(monkeypatch):
    """6: the mutant does not wake those who waited for memory."""

    def silent(world, gpu, nbytes):
        gpu.kv -= nbytes

    monkeypatch.setattr(engine.World, "give_back", silent)
    refused("PM", room=54_000, per_s=2000.0, servers=(1,))


def test_a_starving_prompt_is_noticed(monkeypatch):
    """6: the mutant never lets a prompt before decoding requests."""
    init = engine.Engine.__init__

    def patient(self, world):
        init(self, world)
        self.age_s = 1e9

    monkeypatch.setattr(engine.Engine, "__init__", patient)
    assert "passed over" in refused("PM", room=1_000_000, per_s=2000.0, servers=(1,), requests=200)


def test_an_instance_that_leaves_with_kv_is_noticed(monkeypatch):
    """5: the mutant takes instances away before their requests have ended."""
    monkeypatch.setattr(residency.Residency, "emptied", lambda self, instance: None)
    drain = residency.Residency.remove

    def at_once(self, pool, instance):
        pool.instances.remove(instance)
        drain(self.residency, instance)

    monkeypatch.setattr("remeasure.impls.blockllm.sim.scaling.Scaling._drain", at_once)
    monkeypatch.setattr(
        "remeasure.impls.blockllm.sim.scaling.Scaling._others", lambda self, pool, instance: True
    )
    serving = replace(SYSTEMS["PM, scaling"], shrink_below=1.0, shrink_after=1)
    trace = random_trace(3, requests=120, apps=len(APPS), per_s=100.0, prompt=120, output=40)
    with pytest.raises((AssertionError, ValueError)):
        watched(serving, (2, 1), 1_000_000, trace, 3)


def test_tokens_left_after_roll_back_are_noticed(monkeypatch):
    """4: the mutant keeps the memory of refused drafts."""
    verify = speculation.Speculation.verify

    def forgetful(self, cohort):
        before = [gpu.kv for gpu, _ in cohort.path.grow]
        verify(self, cohort)
        for (gpu, _), kv in zip(cohort.path.grow, before, strict=True):
            gpu.kv = kv

    monkeypatch.setattr(speculation.Speculation, "verify", forgetful)
    assert "books" in refused("BlockLLM, exact", room=1_000_000)


# --- 11, 12, 13 ------------------------------


def same(a, b):
    """Whether two outcomes are equal in every bit."""
    times = all(
        getattr(a, name).tobytes() == getattr(b, name).tobytes()
        for name in ("first_s", "finish_s", "app", "status")
    )
    return (
        times
        and a.counts == b.counts
        and a.pops == b.pops
        and a.gpus.busy_s.tobytes() == b.gpus.busy_s.tobytes()
    )


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_same_seed_gives_the_same_bytes(name):
    trace = random_trace(7, requests=40, apps=len(APPS), per_s=200.0)
    runs = [served(SYSTEMS[name], (2, 1), 60_000, trace, 7) for _ in range(2)]
    assert same(*runs)


def test_another_seed_gives_other_bytes():
    """11, the control: random choices do hang on the seed."""
    trace = random_trace(7, requests=40, apps=len(APPS), per_s=200.0)
    serving = replace(SYSTEMS["BlockLLM, any instance"], replica_share=1.0)
    a, b = (served(serving, (2, 1), 60_000, trace, seed) for seed in (7, 8))
    assert not same(a, b)


@given(seed=st.integers(0, 10_000), per_s=st.sampled_from([5.0, 60.0, 2000.0]))
@settings(max_examples=15, deadline=None)
def test_one_app_on_one_gpu_is_served_alike_by_pm_and_blockllm(seed, per_s):
    """12: with nothing to share and nowhere to go the systems are one and the same."""
    trace = random_trace(seed, requests=30, apps=1, per_s=per_s)
    common = {"max_batch": 8, "batch": "global"}
    a, b = (
        simulate(
            replace(serving, **common),
            cluster(1),
            tenants("pe" if seed % 2 else "full"),
            trace,
            COSTS,
            seed,
        )
        for serving in (PM, BLOCKLLM)
    )
    assert a.finish_s.tobytes() == b.finish_s.tobytes() and a.first_s.tobytes() == b.first_s.tobytes()


def beside_ideal(techniques, servers, loader, per_s, seed, room=1_000_000):
    """BlockLLM and ideal sharing where hops cost nothing and deltas take no time of a GPU."""
    trace = random_trace(seed, requests=30, apps=len(techniques), per_s=per_s)
    free = {"hop_overhead_us": 0.0, "delta_us_per_row_group": 0.0, **ROOMY}
    bare = cluster(*servers, room=room, loader=loader)
    machines = replace(bare, cross_node=Link(0.0, 1e30), in_node=Link(0.0, 1e30))
    return [
        simulate(replace(serving, **free), machines, tenants(*techniques), trace, COSTS, seed)
        for serving in (BLOCKLLM, IDEAL)
    ]


DELTAS = ("foundation", "pe", "pe", "pe")


@given(
    seed=st.integers(0, 10_000),
    servers=SERVERS,
    per_s=st.sampled_from([5.0, 60.0, 2000.0]),
    load_s=st.sampled_from([0.0, 1.2e-3, 0.3]),
)
@settings(max_examples=15, deadline=None)
@example(seed=1189, servers=(2,), per_s=5.0, load_s=1.2e-3)
@example(seed=76, servers=(2,), per_s=5.0, load_s=1.2e-3)
@example(seed=175, servers=(2,), per_s=5.0, load_s=1.2e-3)
def test_blockllm_with_everything_shared_and_free_hops_is_ideal_sharing(seed, servers, per_s, load_s):
    """12: where no app has a layer of its own, and neither hops nor deltas cost time, the bound is reached exactly.

    A copy of BlockLLM's block has the apps' deltas with it, here twice the bytes of the foundation, and an ideal one
    has none. Free hops do not make these bytes free: where a copy is added while serving, they take longer over the
    loader, and a request that comes meanwhile waits or goes elsewhere, as in the examples. So a load takes `load_s`
    here, whatever its bytes, and GPUs have room for all requests at once. What is left of the deltas is in the books.
    """
    a, b = beside_ideal(DELTAS, servers, Link(load_s, float("inf")), per_s, seed)
    assert a.counts.loaded_bytes - b.counts.loaded_bytes == a.counts.loads * (a.zoo_bytes - b.zoo_bytes)
    assert same(a, replace(b, counts=replace(b.counts, loaded_bytes=a.counts.loaded_bytes)))


@given(seed=st.integers(0, 10_000), servers=SERVERS, room=ROOMS, per_s=st.sampled_from([5.0, 60.0, 2000.0]))
@settings(max_examples=15, deadline=None)
@example(seed=1189, servers=(2,), room=1_000_000, per_s=5.0)
@example(seed=76, servers=(2,), room=1_000_000, per_s=5.0)
@example(seed=175, servers=(2,), room=1_000_000, per_s=5.0)
def test_blockllm_without_deltas_and_with_free_hops_is_ideal_sharing(seed, servers, room, per_s):
    """12: where all apps are the foundation itself, blocks weigh the same; then any memory and any loader will do."""
    assert same(*beside_ideal(("foundation",) * 4, servers, Link(0.0, 1e7), per_s, seed, room))


@pytest.mark.parametrize("seed", [1189, 76, 175])
def test_bytes_of_deltas_keep_blockllm_from_ideal_sharing(seed):
    """12, the control: over a loader that takes time for bytes, answers here end later by what deltas take at most.

    No such inequality holds everywhere: where a later copy sends a request another way, others may end sooner (3240).
    """
    a, b = beside_ideal(DELTAS, (2,), Link(0.0, 1e7), 5.0, seed)
    later = a.finish_s - b.finish_s
    assert later.min() == 0
    assert 0 < later.max() <= (a.zoo_bytes - b.zoo_bytes) / 1e7
    assert a.counts.loads == b.counts.loads > 0


@pytest.mark.parametrize("name", ["PM", "PS", "BlockLLM", "BlockLLM, halves, scattered", "Ideal"])
@given(seed=st.integers(0, 10_000), factor=st.sampled_from([0.25, 2.0, 8.0]))
@settings(max_examples=8, deadline=None)
def test_everything_slower_by_a_factor_makes_latencies_longer_by_it(name, seed, factor):
    """13: times of service, arrivals, hops, loads and windows scaled together change nothing else."""
    serving = replace(SYSTEMS[name], speculation="off")
    slow = replace(
        serving,
        hop_overhead_us=serving.hop_overhead_us * factor,
        delta_us_per_row_group=serving.delta_us_per_row_group * factor,
        age_s=serving.age_s * factor,
        window_s=serving.window_s * factor,
    )
    trace = random_trace(seed, requests=30, apps=len(APPS), per_s=60.0)
    later = replace(trace, at_s=trace.at_s * factor, minutes=trace.minutes * factor)

    def machines(by):
        return replace(
            cluster(2, 1, room=120_000),
            cross_node=Link(2e-3 * by, 1e8 / by),
            in_node=Link(2e-4 * by, 1e9 / by),
            loader=Link(0.0, 1e7 / by),
        )

    a = served(serving, None, None, trace, seed, machines=machines(1.0))
    b = served(slow, None, None, later, seed, costs=replace(COSTS, scale=factor), machines=machines(factor))
    assert (b.finish_s - b.arrival_s).tolist() == pytest.approx(
        (factor * (a.finish_s - a.arrival_s)).tolist(), rel=1e-6
    )


@given(nbytes=st.integers(0, 10**10), faster=st.floats(1.0, 100.0))
def test_more_bandwidth_never_slows_a_transfer(nbytes, faster):
    """13."""
    slow = Link(1e-5, 1e9)
    assert replace(slow, bytes_per_s=1e9 * faster).seconds(nbytes) <= slow.seconds(nbytes)


def test_without_links_in_the_way_answers_come_sooner():
    """13, in a whole simulation: the same chains, scattered, over ever slower links.

    Requests come one by one: where they meet, a slow link may make larger batches, and so be the better one.
    """
    trace = random_trace(5, requests=40, apps=len(APPS), per_s=0.05)
    scattered = SYSTEMS["BlockLLM, halves, scattered"]
    serving = replace(scattered, speculation="off", kv="owner", scaling=False, replica_share=0.0)
    means = []
    for speed in (1e10, 1e7, 1e5):
        machines = replace(cluster(2, 1), cross_node=Link(1e-3, speed))
        seen = served(serving, None, None, trace, 5, machines=machines)
        means.append(float(np.mean(seen.finish_s - seen.arrival_s)))
    assert means == sorted(means)
    assert means[0] < means[-1]


def test_the_coordinator_is_used():
    """A check of the checks: the scenarios above do move caches, recompute, evict, swap, grow and substitute."""
    trace = random_trace(3, requests=150, apps=len(APPS), per_s=400.0, prompt=120, output=40)
    counts = {
        name: served(SYSTEMS[name], (2, 1), 60_000, trace, 3).counts
        for name in ("PM", "BlockLLM, any instance", "BlockLLM, any instance, recompute", "BlockLLM, theta 0")
    }
    assert counts["PM"].evicted
    assert served(SYSTEMS["PM"], (1,), 60_000, trace, 3).counts.loads
    assert served(SYSTEMS["PM, scaling"], (2, 1), 1_000_000, trace, 3).counts.grown
    assert sum(counts["BlockLLM, any instance"].transfers)
    assert counts["BlockLLM, any instance, recompute"].recomputed
    assert counts["BlockLLM, theta 0"].substituted
    exact = served(SYSTEMS["BlockLLM, exact"], (2, 1), 1_000_000, trace, 3).counts
    assert 0 < exact.accepted < exact.drafted
    tolerant = served(SYSTEMS["BlockLLM, tolerant, scattered"], (2, 1), 1_000_000, trace, 3).counts
    assert 0 < tolerant.accepted < tolerant.drafted
