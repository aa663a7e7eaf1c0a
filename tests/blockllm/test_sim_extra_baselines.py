"""Migration of running requests between copies (Llumnix-like), and models cut into pipelines (AlpaServe-like)."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from blockllm.sim_fakes import TINY, Linear, asked, cluster, random_trace, tenants
from blockllm.sim_watch import Watch
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm import tuned
from remeasure.impls.blockllm.runs import cluster as runs
from remeasure.impls.blockllm.runs import tuning
from remeasure.impls.blockllm.sim import simulate as simulation
from remeasure.impls.blockllm.sim.catalogue import catalogue
from remeasure.impls.blockllm.sim.cluster import IN_NODE
from remeasure.impls.blockllm.sim.config import Serving
from remeasure.impls.blockllm.sim.cost.network import Link
from remeasure.impls.blockllm.sim.placement import Spot
from remeasure.impls.blockllm.sim.simulate import prepare, simulate
from remeasure.impls.blockllm.sim.systems import ALPASERVE, LLUMNIX, PM, PS
from remeasure.impls.blockllm.sim.tenants import Population

COSTS = Linear(cached=0.0)
KEPT = {"kv_reserve": 0.0, "replica_share": 0.0}


def placed(monkeypatch, *spots):
    """Copies where the test wants them, as (segment, GPU)."""
    monkeypatch.setattr(simulation, "place", lambda *_: [Spot(segment, gpu) for segment, gpu in spots])


def latency(seen, app=None):
    """Mean, of one app or of all."""
    taken = seen.finish_s - seen.arrival_s
    return float(np.mean(taken if app is None else taken[seen.app == app]))


# --- migration -------------------------------------------------------------------------------------------------------


CROWDED = asked(
    [*np.linspace(0.0, 0.01, 8), *np.linspace(0.2, 0.25, 40)], [0] * 8 + [1] * 40, [10] * 48, [150] * 48
)
"""Eight requests for app 0, which two GPUs serve; then a crowd for app 1 that comes to the first of them."""


@pytest.fixture
def beside_a_crowd(monkeypatch):
    placed(monkeypatch, (0, 0), (0, 1), (1, 0))

    def serve(serving, observe=None):
        serving = replace(serving, max_batch=64, **KEPT)
        return simulate(serving, cluster(2), tenants("full", "full"), CROWDED, COSTS, 0, observe=observe)

    return serve


def test_running_requests_move_to_a_freer_copy_of_a_whole_model_and_end_sooner(beside_a_crowd):
    stay, move = beside_a_crowd(PM), beside_a_crowd(LLUMNIX, Watch())
    assert sum(stay.counts.transfers) == 0
    assert 1 <= move.counts.transfers[IN_NODE] <= 16 and not move.counts.recomputed
    assert (
        move.counts.transfer_bytes[IN_NODE] >= move.counts.transfers[IN_NODE] * TINY.kv_bytes_per_token * 10
    )
    assert latency(move, 0) < 0.8 * latency(stay, 0)
    assert latency(move, 1) <= latency(stay, 1)
    p95 = [np.quantile((seen.finish_s - seen.arrival_s)[seen.app == 0], 0.95) for seen in (move, stay)]
    assert p95[0] < p95[1]


def test_nothing_moves_where_all_copies_are_as_busy(monkeypatch):
    placed(monkeypatch, (0, 0), (0, 1))
    trace = asked(np.zeros(8) + 1, [0] * 8, [10] * 8, [50] * 8)
    seen = simulate(replace(LLUMNIX, **KEPT), cluster(2), tenants("full"), trace, COSTS, 0)
    assert sum(seen.counts.transfers) == 0


def test_a_cache_that_takes_too_long_to_copy_stays(monkeypatch):
    placed(monkeypatch, (0, 0), (0, 1), (1, 0))
    slow = cluster(1, 1, cross=Link(5.0, 1e3))
    serving = replace(LLUMNIX, max_batch=64, **KEPT)
    seen = simulate(serving, slow, tenants("full", "full"), CROWDED, COSTS, 0)
    assert sum(seen.counts.transfers) == 0


# --- stages ----------------------------------------------------------------------------------------------------------


@given(
    population=st.builds(Population, apps=st.integers(1, 20), pe=st.sampled_from([0.0, 0.25, 0.5])),
    share=st.sampled_from(["none", "blocks", "family"]),
    granularity=st.sampled_from(["model", "segment"]),
    stages=st.integers(1, 8),
)
def test_stages_are_runs_of_whole_layers_of_nearly_equal_length(population, share, granularity, stages):
    serving = Serving(share=share, granularity=granularity)
    apps = population.draw(0)
    whole, cut = (catalogue(s, apps, 0) for s in (serving, replace(serving, stages=stages)))
    for app, (one, many) in enumerate(zip(whole.chains, cut.chains, strict=True)):
        parts = [cut.segments[s] for s in many]
        shape = apps[app].shape
        assert all(a.high == b.low for a, b in itertools.pairwise(parts))
        assert sum(part.kv_bytes for part in parts) == shape.kv_bytes_per_token
        assert sum(p.weight_bytes for p in parts) == sum(whole.segments[s].weight_bytes for s in one)
        assert sum(part.share for part in parts) == pytest.approx(1)
        for unit in (whole.segments[s] for s in one):
            inside = [part for part in parts if unit.low <= part.low < unit.high]
            layers = [(part.high - part.low) / 2 for part in inside]
            assert len(inside) == min(stages, (unit.high - unit.low) // 2)
            assert all(part.low % 2 == 0 and part.attns == part.ffns for part in inside)
            assert inside[-1].high == unit.high and max(layers) - min(layers) <= 1
            assert all(part.whole == (unit.whole and len(inside) == 1) for part in inside)


def test_layers_and_halves_have_no_stages():
    for granularity in ("layer", "half"):
        serving = Serving(granularity=granularity)
        apps = tenants("foundation", "top")
        assert catalogue(replace(serving, stages=3), apps, 0).chains == catalogue(serving, apps, 0).chains


@pytest.mark.parametrize("stages", [0, 9])
def test_a_number_of_stages_out_of_range_is_refused(stages):
    with pytest.raises(UserError, match="stages cannot be"):
        replace(PM, stages=stages)


def test_stages_of_a_backbone_are_shared_like_it():
    found = catalogue(replace(PS, stages=2), tenants("foundation", "pe", "full"), 0)
    assert found.chains == ((0, 1), (0, 1), (2, 3))
    assert [segment.deltas for segment in found.segments[:2]] == [{1}, {1}]


def test_a_request_takes_the_time_of_both_stages_and_of_the_links_between_them():
    """A GPU has room for half of the model beside a full context."""
    room = TINY.kv_bytes_per_token * TINY.context + 4000
    trace, machines = asked([1.0], [0], [10], [5]), cluster(2, room=room)
    serving = replace(ALPASERVE, **KEPT)
    seen = simulate(serving, machines, tenants("full"), trace, COSTS, 0, observe=Watch())
    link, hidden = machines.in_node, TINY.hidden_bytes_per_token
    prompt = 8 * (0.5e-3 + 0.05e-3 * 10) + 0.25e-3 + link.seconds(10 * hidden)
    step = 8 * (0.5e-3 + 0.05e-3) + 0.25e-3 + link.seconds(hidden) + link.seconds(4)
    assert seen.first_s[0] - 1 == pytest.approx(prompt)
    assert seen.finish_s[0] - seen.first_s[0] == pytest.approx(4 * step)
    with pytest.raises(UserError, match="cut the model into smaller blocks"):
        simulate(replace(serving, stages=1), machines, tenants("full"), trace, COSTS, 0)


BURSTS = asked(np.repeat([1.0, 3.0], 20), np.repeat([0, 1], 20), [100] * 40, [2] * 40)
"""A burst for one model, then for the other."""


@pytest.mark.parametrize("crossed", [True, False])
def test_a_burst_for_one_model_finds_the_gpus_of_all_its_stages(monkeypatch, crossed):
    """Batches of one model run in different stages at the same time, unless its stages are on one GPU."""
    serving = replace(ALPASERVE, prefill_tokens=128, **KEPT)
    placed(monkeypatch, (0, 0), (1, 1))
    whole = simulate(replace(serving, stages=1), cluster(2), tenants("full", "full"), BURSTS, COSTS, 0)
    placed(monkeypatch, (0, 0), (1, int(crossed)), (2, 1), (3, 1 - int(crossed)))
    parted = simulate(serving, cluster(2), tenants("full", "full"), BURSTS, COSTS, 0, observe=Watch())
    assert (latency(parted) < 0.75 * latency(whole)) == crossed


def test_stages_are_placed_apart_where_that_evens_out_the_load():
    """One model is asked far more than the other: it gets parts of both GPUs."""
    rng = np.random.default_rng(0)
    n = 400
    trace = asked(np.arange(n) / 50, (rng.random(n) < 0.1).astype(int), [60] * n, [20] * n, 2)
    engine = prepare(replace(ALPASERVE, **KEPT), cluster(2), tenants("full", "full"), trace, COSTS, 0)
    gpus = [pool.instances[0].gpu.id for pool in engine.world.pools]
    assert gpus[0] != gpus[1]


# --- books -----------------------------------------------------------------------------------------------------------


ROOMY = {"kv_reserve": 0.2, "max_batch": 8, "age_s": 0.2, "replica_share": 0.5}
EXTRA = {
    "Llumnix-like": replace(LLUMNIX, **ROOMY),
    "Llumnix-like, late": replace(LLUMNIX, **ROOMY, binding="late"),
    "AlpaServe-like": replace(ALPASERVE, **ROOMY),
    "AlpaServe-like, four stages": replace(ALPASERVE, **ROOMY, stages=4),
}


@pytest.mark.parametrize("name", EXTRA)
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    servers=st.sampled_from([(1,), (2,), (2, 1), (1, 1, 2)]),
    room=st.sampled_from([60_000, 120_000, 1_000_000]),
    per_s=st.sampled_from([60.0, 2000.0]),
)
def test_books_balance_after_every_event_and_everything_ends(name, seed, servers, room, per_s):
    trace = random_trace(seed, requests=30, apps=4, per_s=per_s, prompt=120, output=40)
    apps, machines = tenants("foundation", "pe", "top", "full"), cluster(*servers, room=room)
    seen = simulate(EXTRA[name], machines, apps, trace, COSTS, seed, observe=Watch())
    assert (seen.status == 0).all()


# --- the record of the choice ----------------------------------------------------------------------------------------


@pytest.fixture
def quick_trials(monkeypatch):
    """Simulations that take no time; larger batches are better."""
    monkeypatch.setattr(
        tuning, "simulated", lambda cell, data, seed: {runs.P95: 200.0 - cell.serving.max_batch}
    )


LABEL = "Azure LLM 2023"


def test_systems_that_are_not_tuned_anew_keep_their_records_byte_for_byte(quick_trials, tmp_path):
    said = []
    record = tuning.tune_systems(("llumnix", "alpaserve"), None, LABEL, said.append)
    before = tuned.RECORD.read_text(encoding="utf-8")
    after = tuning.write(record, tmp_path).read_text(encoding="utf-8")
    assert (
        before.split('"llumnix"')[0] == after.split('"llumnix"')[0]
        and '"ideal"' in after.split('"llumnix"')[0]
    )
    assert [len(record["systems"][name]["trials"]) for name in ("llumnix", "alpaserve")] == [30, 30]
    assert record["systems"]["alpaserve"]["chosen"] == {"max_batch": 128, "replica_share": 0.0, "stages": 2}
    assert len(said) == 2


def test_all_systems_are_tuned_alike(quick_trials):
    record = tuning.tune_systems(tuned.UNTUNED, None, "other requests", lambda line: None)
    assert list(record["systems"]) == list(tuned.UNTUNED)
    assert {len(system["trials"]) for system in record["systems"].values()} == {30}
    assert "other requests" in record["judged_on"]


@pytest.mark.parametrize(
    "names,label,says",
    [
        (("llumnix", "vllm"), LABEL, "no system to tune is called 'vllm'"),
        (("llumnix",), "other requests", "tune all of them"),
    ],
)
def test_records_of_different_kinds_are_not_mixed(quick_trials, names, label, says):
    with pytest.raises(UserError, match=says):
        tuning.tune_systems(names, None, label, lambda line: None)
