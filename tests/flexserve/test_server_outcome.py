"""The outcome of a run: its accounts sum up, a seed repeats it to the byte, and nothing else grows with it."""

from __future__ import annotations

import sys
import tracemalloc
from dataclasses import fields
from itertools import islice

import numpy as np
import pytest
from flexserve.served_traces import CACHE_GIB, COSTS, LARGE, MIDDLE, SMALL, SYSTEMS, WAVES, mixture

from remeasure.impls.flexserve.sim import calibration as calibrated
from remeasure.impls.flexserve.sim import server
from remeasure.impls.flexserve.sim.arrivals import Request, poisson
from remeasure.impls.flexserve.sim.catalogue import to_bytes
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.outcome import Outcome, Recorder
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN_OPT, cold


def test_stage_2_tables_are_off_on_demand_while_nothing_is_protected():
    requests = [Request(1000.0 * i, MIDDLE, 128, 8) for i in range(3)]
    demand, plain = SYSTEMS["FlexServe, on demand"], cold(FLEXSERVE)
    seen, kept_on = (simulate(s, requests, COSTS, cache_gib=0.0) for s in (demand, plain))
    serving = (seen.ttft_s + seen.decode_s).sum()
    assert serving < seen.stage2_on_s < serving + 3
    assert kept_on.stage2_residency == 1
    assert seen.ttft_s - kept_on.ttft_s == pytest.approx(COSTS.protect_s(demand))
    assert simulate(STRAWMAN_OPT, requests, COSTS, cache_gib=0.0).stage2_on_s == 0


def test_mean_memory_sums_to_the_device():
    seen = simulate(FLEXSERVE, mixture(), COSTS, cache_gib=CACHE_GIB, background=WAVES)
    assert sum(seen.mean_bytes.values()) == pytest.approx(to_bytes(16.0))
    assert to_bytes(7.5) < seen.peak_held_bytes < to_bytes(16.0)


def everything(seen: Outcome) -> bytes:
    """All of an outcome as bytes."""
    parts = [getattr(seen, field.name) for field in fields(seen)]
    return b"|".join(p.tobytes() if isinstance(p, np.ndarray) else repr(p).encode() for p in parts)


@pytest.mark.parametrize("name", ["FlexServe", "FlexServe, random layers", "Strawman-OPT, time-out"])
def test_the_same_seed_gives_the_same_bytes(name):
    def run(seed):
        return everything(
            simulate(
                SYSTEMS[name],
                mixture(seed=seed),
                Costs(calibrated.read()),
                cache_gib=CACHE_GIB,
                background=WAVES,
                seed=seed,
            )
        )

    assert run(3) == run(3) != run(4)


def grows_by(system) -> int:
    """Bytes by which the peak, less the result, is higher for 450 requests than for 150."""

    def endless():
        """Lengths that come again, so that what may be remembered is soon known."""
        for i, time in enumerate(poisson(20, 10_000, 1)):
            yield Request(time, (SMALL, MIDDLE, LARGE)[i % 3], 64, 8, f"s#{i // 2}", bool(i % 2))

    def beyond_the_result(count):
        tracemalloc.start()
        seen = simulate(system, islice(endless(), count), COSTS, cache_gib=CACHE_GIB)
        result = sum(column.nbytes for column in vars(seen).values() if isinstance(column, np.ndarray))
        result += sum(sys.getsizeof(name) + 8 for name in seen.sessions)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak - result

    return beyond_the_result(450) - beyond_the_result(150)


class KeepsRequests(Recorder):
    """Mutant: a record of every request as an object."""

    def request(self, request, *rest):
        super().request(request, *rest)
        self._apps.append({"request": request, "rest": rest})


def test_nothing_but_the_result_grows_with_the_number_of_requests(monkeypatch):
    assert grows_by(FLEXSERVE) < 80_000
    monkeypatch.setattr(server, "Recorder", KeepsRequests)
    assert grows_by(NW_BASE) > 80_000
