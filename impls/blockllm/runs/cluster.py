"""What the cluster's cases run: one trace, one system, every figure; ratios of two systems on the same trace.

A sample is one seed: which app is of which kind, which part of the trace is replayed, where blocks are placed. All
systems of a block see the same seed, so ratios are paired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from ..questions import Cell, Crossing
from ..sim.cluster import A100_12, Cluster
from ..sim.cost.costs import Costs
from ..sim.cost.tables import Stack
from ..sim.metrics import summary
from ..sim.simulate import simulate
from ..sim.tenants import Population
from ..tuned import PM_TUNED, PS_TUNED

if TYPE_CHECKING:
    from ..sim.workloads import Trace

P95, COLD = "latency p95 s", "latency p95 s, cold apps"
NAMES = {
    "latency, p95": P95,
    "latency, p50": "latency median s",
    "TTFT, p95": "TTFT p95 s",
    "TPOT, p50": "TPOT median s",
    "latency of cold tenants, p95": COLD,
    "goodput": "goodput share",
    "utilisation, time": "utilisation, time",
    "utilisation, operations": "utilisation, operations",
    "utilisation, bytes": "utilisation, bytes",
    "backlog growing": "backlog growing",
}
"""Metric of the cases → figure of a simulation."""
UTILISATIONS = ("utilisation, time", "utilisation, operations", "utilisation, bytes")
PERCENT = frozenset({"goodput", "backlog growing", *UTILISATIONS})
BASELINES = {"PM": PM_TUNED, "PS": PS_TUNED}


def served(config: Cell, data: Any, seed: int) -> dict[str, object]:
    """Every metric of a sweep, and all figures of the simulation as extras.

    The tuned baselines serve the same requests, so that what they take stands beside what this system takes.
    """
    figures = dict(simulated(config, data, seed))
    if np.isnan(figures[COLD]):  # nobody asked a cold tenant
        figures[COLD] = figures[P95]
    metrics = {name: figures[key] * (100 if name in PERCENT else 1) for name, key in NAMES.items()}
    for name, serving in BASELINES.items():
        theirs = simulated(replace(config, serving=serving), data, seed)
        metrics[f"p95, {name} / own"] = _ratio(theirs[P95], figures[P95])
    return {**metrics, "extras": figures}


def loaded(config: Cell, data: Any, seed: int) -> dict[str, object]:
    """Every metric of the cases over load: `served`, and how much busier the GPUs are than tuned PM's."""
    own = simulated(config, data, seed)
    theirs = simulated(replace(config, serving=PM_TUNED), data, seed)
    busier = {f"{key}, own / PM": _ratio(own[key], theirs[key]) for key in UTILISATIONS}
    return {**served(config, data, seed), **busier}


def _ratio(one: float, other: float) -> float:
    """Of two that never end it is 1: neither is better."""
    return 1.0 if one == other else float(one / other)


def crossing(config: Crossing, data: Any, seed: int) -> dict[str, object]:
    """The lowest load at which the ratio is reached; the last load where it never is, and whether it is."""
    logs = []
    for load in config.loads:
        cell = replace(config.cell, load=load)
        ours = simulated(cell, data, seed)[P95]
        logs.append(float(np.log(simulated(replace(cell, serving=config.baseline), data, seed)[P95] / ours)))
    wanted = float(np.log(config.ratio))
    return {
        "load where it is crossed": first_crossing(config.loads, logs, wanted),
        "crossed": 100.0 * (max(logs) >= wanted),
    }


def first_crossing(xs: tuple[float, ...], ys: list[float], wanted: float) -> float:
    """The smallest x at which the broken line through (xs, ys) reaches `wanted`; the last x where it never does."""
    if ys[0] >= wanted:
        return xs[0]
    for at in range(1, len(xs)):
        if ys[at] >= wanted:
            share = (wanted - ys[at - 1]) / (ys[at] - ys[at - 1])
            return xs[at - 1] + share * (xs[at] - xs[at - 1])
    return xs[-1]


def trace_of(config: Cell, data: Any, seed: int) -> Trace:
    """The requests of a cell; `data` is what the case's data set loaded."""
    from ..sim import workloads

    if config.workload == "w1":
        return workloads.w1(
            data,
            seed=seed,
            apps=config.apps,
            alpha=config.alpha,
            rate=config.load,
            minutes=config.minutes,
        )
    if config.workload == "w3":
        return workloads.w3(
            cv=config.cv,
            rate_rps=config.load,
            seed=seed,
            apps=config.apps,
            alpha=config.alpha,
            minutes=config.minutes,
        )
    lengths = "own" if config.workload == "w2a" else "conv"
    return workloads.w2(data, seed=seed, load_rps=config.load, lengths=lengths, minutes=config.minutes)  # type: ignore[arg-type]


def machines(config: Cell) -> Cluster:
    """The GPUs of a cell and what joins them."""
    return replace(A100_12.with_gpus(config.gpus), cross_node=config.cross_node, loader=config.loader)


def simulated(config: Cell, data: Any, seed: int) -> Mapping[str, float]:
    """All figures of one simulation; the arms of a block that ask the same are simulated once."""
    return _simulated(config, _Same(data), seed)


class _Same:
    """Wraps data so that a cache takes them by identity."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __hash__(self) -> int:
        return id(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.data is other.data


@lru_cache(maxsize=256)
def _simulated(config: Cell, data: _Same, seed: int) -> Mapping[str, float]:
    trace = trace_of(config, data.data, seed)
    tenants = Population(trace.apps, pe=config.pe, full=config.full).draw(seed)
    outcome = simulate(
        config.serving, machines(config), tenants, trace, _costs(config.stack, config.band), seed
    )
    return {**summary(outcome), "clipped share": trace.clipped, "requests": float(len(trace))}


@lru_cache(maxsize=8)
def _costs(stack: Stack, band: float) -> Costs:
    return Costs(stack, band)
