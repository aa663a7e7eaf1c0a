"""Which blocks there are: what is shared, how it is cut, what it weighs."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from blockllm.sim_fakes import TINY, tenants
from hypothesis import given
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.blockllm.sim.catalogue import catalogue
from remeasure.impls.blockllm.sim.cluster import A100_12, CROSS_NODE, IN_NODE, SAME_GPU, Cluster
from remeasure.impls.blockllm.sim.config import Serving
from remeasure.impls.blockllm.sim.cost.shapes import LLAMA_7B, LLAMA_13B
from remeasure.impls.blockllm.sim.systems import BLOCKLLM, IDEAL, PM, PS, SYSTEMS, system
from remeasure.impls.blockllm.sim.tenants import Population, apportion

APPS = tenants("foundation", "pe", "pe", "top", "top", "full")
POPULATIONS = st.builds(
    Population,
    apps=st.integers(1, 40),
    pe=st.sampled_from([0.0, 0.25, 0.5]),
    full=st.sampled_from([0.0, 0.25, 0.5]),
)


def cuts(serving, apps=APPS, seed=0):
    return catalogue(serving, apps, seed)


def test_pm_has_a_whole_model_for_each_app():
    found = cuts(PM)
    assert [s.weight_bytes for s in found.segments] == [TINY.model_bytes] * 6
    assert all(s.whole and len(s.apps) == 1 and not s.deltas for s in found.segments)


def test_ps_shares_the_backbone_of_apps_with_small_deltas():
    found = cuts(PS)
    assert [s.apps for s in found.segments] == [(0, 1, 2), (3,), (4,), (5,)]
    assert found.segments[0].deltas == {1, 2}


def test_blockllm_shares_the_lower_layers_with_apps_that_changed_the_top():
    found = cuts(BLOCKLLM)
    lower, upper = found.segments[:2]
    assert (lower.low, lower.high, lower.apps) == (0, 6, (0, 1, 2, 3, 4))
    assert (upper.low, upper.high, upper.apps) == (6, 8, (0, 1, 2))
    assert [found.chains[app] for app in (0, 3, 4, 5)] == [(0, 1), (0, 2), (0, 3), (4,)]


def test_the_bound_serves_a_whole_family_with_one_model():
    assert [s.apps for s in cuts(IDEAL).segments] == [(0, 1, 2, 3, 4, 5)]


@pytest.mark.parametrize("granularity,parts", [("model", 1), ("segment", 2), ("layer", 4), ("half", 8)])
def test_granularity_says_how_often_a_chain_is_cut(granularity, parts):
    assert len(cuts(replace(BLOCKLLM, granularity=granularity)).chains[3]) == parts


@given(
    population=POPULATIONS,
    share=st.sampled_from(["none", "blocks", "family"]),
    granularity=st.sampled_from(["model", "segment", "layer", "half"]),
    seed=st.integers(0, 100),
)
def test_every_chain_is_a_whole_model(population, share, granularity, seed):
    """9, seen from the simulator: cutting neither loses nor adds a byte."""
    serving = Serving(share=share, granularity=granularity)
    apps = population.draw(seed)
    found = catalogue(serving, apps, seed)
    assert {app for segment in found.segments for app in segment.apps} == set(range(len(apps)))
    for app, chain in enumerate(found.chains):
        parts = [found.segments[s] for s in chain]
        shape = apps[app].shape
        assert parts[0].low == 0 and parts[-1].high == 2 * shape.layers
        assert all(a.high == b.low for a, b in itertools.pairwise(parts))
        assert all(app in part.apps and part.shape == shape for part in parts)
        deltas = sum(len(p.deltas) * p.attns * 2 * 2 * 16 * shape.hidden_bytes_per_token for p in parts)
        assert sum(part.weight_bytes for part in parts) == shape.model_bytes + deltas
        assert sum(part.kv_bytes for part in parts) == shape.kv_bytes_per_token
    assert found.weight_bytes <= catalogue(PM, apps, seed).weight_bytes * 1.02


def test_sharing_lowers_storage_as_the_specification_computes_it():
    """12 × 7B and 8 × 13B are 370 GB apart from each other."""
    apps = Population().draw(0)
    assert catalogue(PM, apps, 0).weight_bytes / 1e9 == pytest.approx(370, abs=1)
    kinds = [(tenant.shape, tenant.technique) for tenant in apps]
    assert [kinds.count((LLAMA_7B, kind)) for kind in ("foundation", "pe", "top", "full")] == [1, 5, 3, 3]
    assert [kinds.count((LLAMA_13B, kind)) for kind in ("foundation", "pe", "top", "full")] == [1, 3, 2, 2]
    assert catalogue(PS, apps, 0).weight_bytes < 0.7 * catalogue(PM, apps, 0).weight_bytes
    assert catalogue(BLOCKLLM, apps, 0).weight_bytes < 0.8 * catalogue(PS, apps, 0).weight_bytes


def test_which_app_is_of_which_kind_hangs_on_the_seed_alone():
    draws = [Population().draw(seed) for seed in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]


def test_substitutes_stand_at_the_same_place_and_are_no_whole_models():
    found = cuts(replace(BLOCKLLM, equivalent_share=1.0))
    assert found.equivalents[1] == (2, 3) and found.equivalents[2] == (1, 3)
    assert found.equivalents[0] == () and found.equivalents[4] == ()
    none = cuts(replace(BLOCKLLM, equivalent_share=0.0))
    assert not any(none.equivalents.values())


def test_kept_inputs_take_memory_beside_the_kv_cache():
    plain, kept = cuts(BLOCKLLM), cuts(replace(BLOCKLLM, recompute="boundary_cache"))
    assert kept.segments[0].kv_bytes == plain.segments[0].kv_bytes
    assert kept.segments[1].kv_bytes == plain.segments[1].kv_bytes + TINY.hidden_bytes_per_token


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=6), st.integers(0, 100))
def test_apportioned_numbers_add_up_and_are_near_their_shares(shares, total):
    counts = apportion(shares, total)
    assert sum(counts) == total
    assert all(abs(n - total * x / sum(shares)) < 1.001 for n, x in zip(counts, shares, strict=True))


def test_the_cluster_is_the_papers():
    assert A100_12.gpus == 12 and sorted(A100_12.gpus_per_server) == [2, 2, 4, 4]
    between = A100_12.between()
    assert (between[0][0], between[0][3], between[0][4]) == (SAME_GPU, IN_NODE, CROSS_NODE)
    assert A100_12.with_gpus(6).gpus_per_server == (4, 2)


# --- what a user can get wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong,says",
    [
        (lambda: system("blokllm"), "no serving system is called 'blokllm'"),
        (lambda: system("pm", placment="random"), "no field 'placment'"),
        (lambda: system("pm", placement="best"), "placement cannot be 'best'"),
        (lambda: system("blockllm", gamma=-1.0), "gamma cannot be -1.0"),
        (lambda: Serving(kv_reuse="cross_variant"), "substitute=any"),
        (lambda: Cluster(()), "at least one server"),
        (lambda: A100_12.with_gpus(13), "1 to 12 GPUs"),
        (lambda: Population(pe=0.8, full=0.8), "shares"),
    ],
)
def test_a_wrong_word_or_number_is_refused_in_one_sentence(wrong, says):
    with pytest.raises(UserError) as caught:
        wrong()
    assert says in str(caught.value) and str(caught.value).count("\n") == 0


def test_systems_have_names():
    assert set(SYSTEMS) == {"strawman", "pm", "ps", "blockllm", "ideal", "llumnix", "alpaserve"}
    assert system("blockllm", gamma=2.0) == replace(BLOCKLLM, gamma=2.0)
