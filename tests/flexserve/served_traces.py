"""Requests, backgrounds and systems that the modelled server is tried with, and what everything costs there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from remeasure.impls.flexserve.sim import calibration as calibrated
from remeasure.impls.flexserve.sim.arrivals import Request, Step, Steps, dispatched, merged, poisson, workflow
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, TZLLM_LIKE, cold

SMALL, MIDDLE, LARGE = "Qwen3-0.6B", "Llama3.2-3B", "Llama3.1-8B"
ALWAYS, TIMEOUT = replace(STRAWMAN_OPT, cache="always"), replace(STRAWMAN_OPT, cache="timeout")
SYSTEMS = {
    "FlexServe": FLEXSERVE,
    "FlexServe, no prefetch": replace(FLEXSERVE, prefetch=False),
    "FlexServe, synchronous": replace(FLEXSERVE, async_reclaim=False, two_stage=False),
    "FlexServe, random layers": replace(FLEXSERVE, kept="random"),
    "FlexServe, last layers": replace(FLEXSERVE, kept="lru"),
    "FlexServe, uniform": replace(FLEXSERVE, budgets="uniform"),
    "FlexServe, time-out": replace(FLEXSERVE, cache="timeout"),
    "FlexServe, on demand": replace(cold(FLEXSERVE), on_demand=True),
    "FlexServe, cold": cold(FLEXSERVE),
    "NW-Base": NW_BASE,
    "Strawman": STRAWMAN,
    "Strawman, always": replace(STRAWMAN, cache="always"),
    "Strawman-OPT": STRAWMAN_OPT,
    "Strawman-OPT, always": ALWAYS,
    "Strawman-OPT, time-out": TIMEOUT,
    "TZ-LLM": TZLLM_LIKE,
}
CACHE_GIB = 4.0
COSTS = Costs(calibrated.read())
WAVES = Steps((0.0, 400.0, 700.0, 900.0, 1500.0, 2000.0), (8.0, 13.5, 4.0, 15.9, 2.0, 8.0))


def lengths(rng):
    return int(rng.integers(64, 513)), int(rng.integers(1, 60))


def mixture(requests=60, per_hour=90, seed=5, models=(SMALL, MIDDLE, LARGE)):
    """Random dispatch and two workflows that come again and again, in order of time."""
    alone = dispatched(poisson(per_hour, requests / per_hour, seed), models, lengths, seed)
    agents = [
        workflow(
            poisson(per_hour / 4, requests / per_hour, seed + place), name, [Step(m, 128, 40) for m in chain]
        )
        for place, (name, chain) in enumerate(
            {"check": (MIDDLE, SMALL), "guard": (SMALL, SMALL, LARGE)}.items()
        )
    ]
    return merged(alone, *agents)


@st.composite
def traces(draw: st.DrawFn) -> tuple[list[Request], Steps]:
    """Any few requests in order of time, and any background of applications."""
    columns = st.tuples(
        st.floats(0, 60),
        st.sampled_from([SMALL, MIDDLE, LARGE]),
        st.integers(1, 600),
        st.integers(1, 80),
        st.sampled_from(["", "s", "t"]),
        st.booleans(),
        st.sampled_from([0, 50]),
    )
    time, requests = 0.0, []
    for gap, *rest in draw(st.lists(columns, max_size=8)):
        time += gap
        requests.append(Request(time, *rest))
    levels = draw(st.lists(st.floats(0, 20), min_size=1, max_size=6))
    return requests, Steps(tuple(30.0 * place for place in range(len(levels))), tuple(levels))
