"""Workflows: the next model is fetched beside the decoding of this one, and no faster than the device can."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flexserve.served_traces import COSTS, MIDDLE, SMALL

from remeasure.impls.flexserve.sim.arrivals import Step, merged, workflow
from remeasure.impls.flexserve.sim.catalogue import Catalogue, to_bytes
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE, STRAWMAN_OPT


def agents(runs=4, gap=600.0, new_tokens=60):
    return workflow(
        (gap * i for i in range(runs)),
        "agent",
        [Step(SMALL, 64, new_tokens), Step("Qwen3-1.7B", 64, new_tokens), Step(MIDDLE, 64, 5)],
    )


def test_response_is_all_earlier_generations_and_the_last_prefill():
    seen = simulate(STRAWMAN_OPT, merged(agents(), agents(gap=500.0)), COSTS, cache_gib=0.0)
    assert len(seen.sessions) == len(seen.response_s) > 1
    alone = simulate(STRAWMAN_OPT, agents(runs=1), COSTS, cache_gib=0.0)
    generation = alone.ttft_s + alone.decode_s
    assert alone.response_s == pytest.approx([generation[0] + generation[1] + alone.ttft_s[2]])
    assert alone.sessions == ("agent#0",)


def test_a_known_workflow_is_prefetched_and_an_unknown_one_is_not():
    kept = replace(FLEXSERVE, prefetch=False)
    options = {"cache_gib": 3.0, "background": lambda t: 4.0}
    with_it = simulate(FLEXSERVE, agents(), COSTS, **options)
    without = simulate(kept, agents(), COSTS, **options)
    assert with_it.ttft_s[:3] == pytest.approx(without.ttft_s[:3])
    assert with_it.hit_bytes[3:].sum() > without.hit_bytes[3:].sum()
    assert with_it.response_s[-1] < without.response_s[-1]


def prefetched_too_fast() -> bool:
    """Whether a part ever arrives beside a decode sooner than flash and cipher could have brought it."""
    arrived, last = [], {}

    def look(time, memory, serving):
        others = sum(memory.weight_bytes(model) for model in memory.weights if model != serving)
        if last and serving and last["serving"] == serving and others > last["others"]:
            arrived.append((others - last["others"], time - last["time"]))
        last.update(time=time, serving=serving, others=others)

    simulate(FLEXSERVE, agents(runs=3), COSTS, cache_gib=1.0, background=lambda t: 2.0, observe=look)
    fastest = to_bytes(1.0) / max(COSTS.load_s(1.0), COSTS.decrypt_s(1.0))
    assert arrived
    return any(nbytes > seconds * fastest for nbytes, seconds in arrived)


def test_prefetch_is_no_faster_than_flash_and_cipher(monkeypatch):
    assert not prefetched_too_fast()
    monkeypatch.setattr(Catalogue, "restore_s", lambda self, nbytes: 1e-3)
    assert prefetched_too_fast()


def test_decryption_beside_it_slows_decoding():
    options = {"cache_gib": 3.0, "background": lambda t: 4.0}
    with_it = simulate(FLEXSERVE, agents(), COSTS, **options)
    inline = simulate(replace(FLEXSERVE, crypto="inline"), agents(), COSTS, **options)
    assert with_it.decode_s.sum() > inline.decode_s.sum()
