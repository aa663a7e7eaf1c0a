"""The simulator runs page states, the NPU's switch and on-demand protection, and they hold whatever it serves."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from flexserve.broken_monitors import (
    ForgetsToLeave,
    ForgetsToProtect,
    LosesKV,
    NeverRests,
    NeverScrubs,
    NeverWakes,
    ReleasesAtClaim,
    ReleasesUnscrubbed,
    RestsTooSoon,
)
from flexserve.served_traces import COSTS, LARGE, MIDDLE, SMALL, SYSTEMS, traces
from flexserve.watched_pages import Watched, faults
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.errors import UserError
from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.policy.npu import NPU_SECURE
from remeasure.impls.flexserve.policy.pages import Refused
from remeasure.impls.flexserve.sim import monitor as monitor_module
from remeasure.impls.flexserve.sim import server
from remeasure.impls.flexserve.sim.arrivals import Request, Steps
from remeasure.impls.flexserve.sim.monitor import Monitor, kv_of, weights_of
from remeasure.impls.flexserve.sim.server import simulate
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN

ON_DEMAND = SYSTEMS["FlexServe, on demand"]
PROTECTED = [
    "FlexServe",
    "FlexServe, synchronous",
    "FlexServe, random layers",
    "FlexServe, time-out",
    "FlexServe, on demand",
    "Strawman",
    "Strawman-OPT, always",
    "TZ-LLM",
]
WAVES = Steps((0.0, 20.0, 40.0, 60.0, 90.0), (8.0, 13.5, 2.0, 15.9, 8.0))
BUSY = [
    Request(12.0 * i, model, 300, 30, session, last, shared)
    for i, (model, session, last, shared) in enumerate(
        [
            (MIDDLE, "s", False, 0),
            (SMALL, "s", True, 0),
            (LARGE, "", True, 0),
            (MIDDLE, "s", False, 200),
            (SMALL, "s", True, 0),
            (SMALL, "", True, 100),
        ]
    )
]


def broken_pages(
    system: System,
    requests: Iterable[Request] = BUSY,
    background: Steps = WAVES,
    monitor: type[Monitor] = Monitor,
) -> list[str]:
    """What is ever wrong with the pages while a trace is served."""
    wrong: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(monitor_module, "Ledger", Watched)
        patch.setattr(server, "Monitor", monitor)
        try:
            simulate(
                system,
                requests,
                COSTS,
                cache_gib=4.0,
                background=background,
                observe=lambda time, memory, serving: wrong.extend(faults(memory, serving)),
            )
        except (UserError, Refused) as error:
            wrong.append(str(error))
    return wrong


@pytest.mark.parametrize("name", PROTECTED)
def test_pages_stay_protected_scrubbed_and_counted_while_a_trace_is_served(name):
    assert broken_pages(SYSTEMS[name]) == []


@settings(max_examples=25)
@given(name=st.sampled_from(sorted(PROTECTED)), trace=traces())
def test_pages_are_safe_whatever_comes(name, trace):
    assert broken_pages(SYSTEMS[name], *trace) == []


@pytest.mark.parametrize(
    ("mutant", "system"),
    [
        (ReleasesAtClaim, FLEXSERVE),
        (ReleasesUnscrubbed, FLEXSERVE),
        (NeverScrubs, FLEXSERVE),
        (ForgetsToProtect, FLEXSERVE),
        (LosesKV, FLEXSERVE),
        (ForgetsToLeave, FLEXSERVE),
        (NeverWakes, ON_DEMAND),
        (NeverRests, ON_DEMAND),
        (RestsTooSoon, ON_DEMAND),
    ],
)
def test_the_check_of_pages_catches_a_broken_monitor(mutant, system):
    assert broken_pages(system) == []
    assert broken_pages(system, monitor=mutant)


def test_a_forgotten_leave_is_seen_before_the_next_request():
    assert "nothing is served and the secure world has the NPU" in broken_pages(
        FLEXSERVE, BUSY[:1], monitor=ForgetsToLeave
    )


def test_the_npu_holds_the_served_model_and_nothing_else():
    reached: dict[str, set[str]] = {}

    def look(time, memory, serving):
        for extent in memory.monitor.smmu.extents(NPU_SECURE):
            owners = {owner for _, _, owner in memory.monitor.ledger.pieces(extent)}
            reached.setdefault(serving, set()).update(owners)

    simulate(FLEXSERVE, BUSY, COSTS, cache_gib=4.0, background=WAVES, observe=look)
    assert reached == {model: {weights_of(model), kv_of(model)} for model in (SMALL, MIDDLE, LARGE)}


@pytest.mark.parametrize(("system", "has"), [(NW_BASE, False), (STRAWMAN, True), (FLEXSERVE, True)])
def test_only_protected_systems_have_a_monitor_and_only_npu_systems_switch_the_npu(system, has):
    modes = set()

    def look(time, memory, serving):
        assert (memory.monitor is not None) == has
        modes.add(memory.monitor.npu.mode if has else None)

    simulate(system, BUSY[:2], COSTS, cache_gib=0.0, observe=look)
    expected = {NW_BASE: {None}, STRAWMAN: {"normal"}, FLEXSERVE: {"normal", "secure"}}
    assert modes == expected[system]


def test_predictions_do_not_depend_on_the_monitor(monkeypatch):
    with_it = simulate(FLEXSERVE, BUSY, COSTS, cache_gib=4.0, background=WAVES)
    monkeypatch.setattr(server, "Monitor", lambda total, on_demand: None)
    without = simulate(FLEXSERVE, BUSY, COSTS, cache_gib=4.0, background=WAVES)
    assert (with_it.ttft_s == without.ttft_s).all() and (with_it.decode_s == without.decode_s).all()
    assert with_it.mean_bytes == without.mean_bytes and with_it.events == without.events
