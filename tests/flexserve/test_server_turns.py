"""Requests of the modelled server take turns: one at a time, in order, each waiting for the one before."""

from __future__ import annotations

import numpy as np
import pytest
from flexserve.served_traces import CACHE_GIB, COSTS, LARGE, MIDDLE, SMALL, SYSTEMS, mixture

from remeasure.errors import UserError
from remeasure.impls.flexserve.sim import server
from remeasure.impls.flexserve.sim.arrivals import Request
from remeasure.impls.flexserve.sim.outcome import Outcome
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN_OPT


def one_at_a_time(seen: Outcome) -> bool:
    """Whether no request starts before it was asked for or before the one before has ended."""
    end = seen.start_s + seen.ttft_s + seen.decode_s
    return bool((seen.start_s >= seen.at_s).all() and (seen.start_s[1:] >= end[:-1] - 1e-9).all())


@pytest.mark.parametrize("name", SYSTEMS)
def test_requests_are_served_one_at_a_time_in_order(name):
    seen = simulate(SYSTEMS[name], mixture(), COSTS, cache_gib=CACHE_GIB)
    assert one_at_a_time(seen)
    assert (np.diff(seen.start_s) >= 0).all()


class StartsWhenAsked(server._Device):
    """Mutant: forgets that a request waited."""

    def _restore(self, turn):
        super()._restore((turn[0], turn[0].at_s))


def test_the_check_of_turns_catches_a_server_that_forgets_waiting(monkeypatch):
    monkeypatch.setattr(server, "_Device", StartsWhenAsked)
    assert not one_at_a_time(simulate(FLEXSERVE, mixture(), COSTS, cache_gib=CACHE_GIB))


def test_latency_is_waiting_and_prefill_and_decoding():
    requests = [Request(10.0, SMALL, 64, 5), Request(10.0, MIDDLE, 128, 1)]
    seen = simulate(NW_BASE, requests, COSTS, cache_gib=0.0)
    assert seen.start_s[0] == 10.0
    assert seen.decode_s == pytest.approx([4 * COSTS.decode_s(SMALL, NW_BASE), 0.0])
    assert seen.start_s[1] == pytest.approx(10.0 + seen.ttft_s[0] + seen.decode_s[0])
    assert seen.latency_s[1] == pytest.approx(seen.start_s[1] - 10.0 + seen.ttft_s[1])
    assert seen.duration_s == pytest.approx(seen.start_s[1] + seen.ttft_s[1])


def test_a_release_of_contiguous_memory_ends_before_the_next_request_starts():
    seen = simulate(STRAWMAN_OPT, [Request(0.0, LARGE, 64, 1)] * 2, COSTS, cache_gib=0.0)
    pause = seen.start_s[1] - seen.ttft_s[0]
    kv = COSTS.kv_gib(LARGE, 65)
    assert pause == pytest.approx(COSTS.reclaim_s(STRAWMAN_OPT, COSTS.weights_gib(LARGE) + kv), rel=1e-6)


def test_requests_out_of_order_are_refused():
    with pytest.raises(UserError, match="in order of time"):
        simulate(NW_BASE, [Request(5.0, SMALL, 64, 1), Request(4.0, SMALL, 64, 1)], COSTS, cache_gib=0.0)


def test_an_unknown_model_is_refused():
    with pytest.raises(UserError, match="GPT"):
        simulate(NW_BASE, [Request(0.0, "GPT", 64, 1)], COSTS, cache_gib=0.0)


def test_a_request_that_cannot_fit_the_device_is_refused():
    with pytest.raises(UserError, match="do not fit"):
        simulate(NW_BASE, [Request(0.0, LARGE, 90_000, 1)], COSTS, cache_gib=0.0)


@pytest.mark.parametrize("wrong", [{"prompt_tokens": 0}, {"new_tokens": 0}, {"shared_tokens": -1}])
def test_a_request_without_tokens_is_refused(wrong):
    with pytest.raises(ValueError, match="at least one"):
        Request(**{"at_s": 0.0, "model": SMALL, "prompt_tokens": 64, "new_tokens": 1, **wrong})


def test_no_requests_give_an_empty_outcome():
    seen = simulate(FLEXSERVE, [], COSTS, cache_gib=CACHE_GIB)
    assert len(seen.ttft_s) == 0 == seen.duration_s == seen.stage2_residency
