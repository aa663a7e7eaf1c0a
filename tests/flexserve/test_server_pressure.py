"""When applications want memory: who gives it back, how long they wait, and how the cache returns."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flexserve.served_traces import ALWAYS, CACHE_GIB, COSTS, LARGE, MIDDLE, SMALL

from remeasure.impls.flexserve.sim.arrivals import Request, Steps
from remeasure.impls.flexserve.sim.catalogue import to_bytes
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE


def pressed(system, levels=(2.0, 15.0), **options):
    """An 8B model is served, applications ask for more at 300 s, the model is asked for again at 600 s."""
    background = Steps(tuple(300.0 * i for i in range(len(levels))), levels)
    requests = [Request(t, LARGE, 128, 2) for t in (0.0, 300.0 * len(levels))]
    return simulate(system, requests, COSTS, cache_gib=CACHE_GIB, background=background, **options)


def test_a_cooperative_cache_gives_back_what_applications_want():
    held = {}
    seen = pressed(FLEXSERVE, observe=lambda t, m, s: held.update({t: (m.missed_by_apps, m.held)}))
    before = [value for t, value in held.items() if t < 300][-1]
    after = [value for t, value in held.items() if t < 600][-1]
    assert before[1] > to_bytes(3.5)
    assert after[0] == 0 and after[1] <= to_bytes(1.0)
    assert len(seen.reclaim_s) == 1
    gib = seen.reclaim_bytes[0] / to_bytes(1.0)
    assert 3 - 0.5 <= gib <= 3.5
    assert seen.reclaim_s[0] == pytest.approx(COSTS.reclaim_s(FLEXSERVE, gib))


def test_asynchronous_reclaim_waits_less_and_scrubs_afterwards():
    claimed = {}
    soon = pressed(FLEXSERVE, observe=lambda t, m, s: claimed.update({t: m.claimed}))
    late = pressed(replace(FLEXSERVE, async_reclaim=False))
    assert claimed[300.0] == soon.reclaim_bytes[0]
    assert [nbytes for t, nbytes in claimed.items() if t < 600][-1] == 0
    assert soon.reclaim_bytes[0] == late.reclaim_bytes[0]
    assert soon.reclaim_s[0] < late.reclaim_s[0] / 3


def test_reclaim_without_stages_writes_kv_back_and_waits_longer():
    one = replace(FLEXSERVE, async_reclaim=False, two_stage=False)
    two = replace(one, two_stage=True)
    requests = [Request(0.0, SMALL, 8000, 2), Request(900.0, SMALL, 64, 1)]
    waits = {}
    for name, system in (("one", one), ("two", two)):
        background = Steps((0.0, 500.0), (2.0, 15.0))
        seen = simulate(system, requests, COSTS, cache_gib=CACHE_GIB, background=background)
        waits[name] = seen.reclaim_s[0] / seen.reclaim_bytes[0]
    assert waits["one"] > waits["two"]


def test_a_cache_that_does_not_cooperate_leaves_applications_short():
    missed = {}
    for system in (ALWAYS, FLEXSERVE):
        background = Steps((0.0, 300.0), (2.0, 15.5))
        requests = [Request(0.0, MIDDLE, 128, 2), Request(600.0, MIDDLE, 128, 2)]
        short = {}
        simulate(
            system,
            requests,
            COSTS,
            cache_gib=CACHE_GIB,
            background=background,
            observe=lambda t, m, s, short=short: short.update({t: m.missed_by_apps}),
        )
        missed[system] = [nbytes for t, nbytes in short.items() if t < 600][-1]
    assert missed[ALWAYS] > to_bytes(2.0)
    assert missed[FLEXSERVE] == 0


def test_the_cache_is_rebuilt_when_applications_want_less_again():
    squeezed, relieved = pressed(FLEXSERVE), pressed(FLEXSERVE, levels=(2.0, 15.0, 2.0))
    calm = pressed(FLEXSERVE, levels=(2.0, 2.0))
    assert squeezed.hit_bytes[1] < relieved.hit_bytes[1] == calm.hit_bytes[1]


def test_memory_is_taken_from_the_cache_before_applications_are_swapped_out():
    short = []
    requests = [Request(0.0, MIDDLE, 128, 2), Request(300.0, LARGE, 128, 2)]
    simulate(
        FLEXSERVE,
        requests,
        COSTS,
        cache_gib=CACHE_GIB,
        observe=lambda t, m, s: short.append(m.missed_by_apps),
    )
    assert max(short) == 0


def test_a_plain_function_of_time_is_looked_at_when_requests_begin_and_end():
    asked = []

    def background(time):
        asked.append(time)
        return 8.0

    seen = simulate(
        FLEXSERVE, [Request(7.0, SMALL, 64, 3)], COSTS, cache_gib=CACHE_GIB, background=background
    )
    assert asked == [0.0, 7.0, seen.duration_s]
