"""Workloads of the simulated data sets, traces of a few requests, and what any workload has to be."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from remeasure.datasets.azure_llm_2023 import loader as azure_llm_2023
from remeasure.datasets.azure_llm_2023.loader import Service, Services
from remeasure.datasets.servegen import loader as servegen_loader
from remeasure.impls.blockllm.sim.workloads import Trace, w1, w2, w3

AZURE = azure_llm_2023.load(azure_llm_2023.Request(), None)
CONV = AZURE.service("conv")
CLIENTS = servegen_loader.load(servegen_loader.Request(), None)

Make = Callable[..., Trace]
WORKLOADS: dict[str, Make] = {
    "w1": lambda seed, load=1.0, **more: w1(AZURE, seed=seed, rate=load, **more),
    "w2a": lambda seed, load=1.0, **more: w2(CLIENTS, seed=seed, load_rps=8 * load, conv=CONV, **more),
    "w2b": lambda seed, load=1.0, **more: w2(
        CLIENTS, seed=seed, load_rps=8 * load, lengths="conv", conv=CONV, **more
    ),
    "w3": lambda seed, load=1.0, **more: w3(cv=4, rate_rps=8 * load, seed=seed, **more),
    "w3 together": lambda seed, load=1.0, **more: w3(
        cv=4, rate_rps=8 * load, seed=seed, together=True, **more
    ),
}


def mine(at_s: list[float], prompt: list[int] | None = None, output: list[int] | None = None) -> Services:
    """A trace of one service with these requests."""
    n = len(at_s)
    columns = (np.array(at_s, float), np.array(prompt or [10] * n), np.array(output or [5] * n))
    return Services("mine", False, (), (Service("mine", *columns),))


def cv(times: np.ndarray) -> float:
    gaps = np.diff(times)
    return float(gaps.std() / gaps.mean())


def check(trace: Trace, context: int = 4096) -> None:
    assert len(trace.at_s) == len(trace.app) == len(trace.prompt) == len(trace.output) == len(trace) > 0
    assert trace.at_s.dtype == np.float64, "times of another type"
    assert trace.app.dtype == trace.prompt.dtype == trace.output.dtype == np.int64, "counts of another type"
    assert trace.at_s[0] >= 0 and trace.at_s[-1] < 60 * trace.minutes, "outside of the trace"
    assert (np.diff(trace.at_s) >= 0).all(), "not in order"
    assert trace.app.min() >= 0 and trace.app.max() < trace.apps == len(trace.shares), "no such app"
    assert trace.prompt.min() >= 1 and trace.output.min() >= 1, "no tokens"
    assert (trace.prompt + trace.output).max() <= context, "beyond the context"
    full = np.mean(trace.prompt + trace.output == context)
    assert 0 <= trace.clipped <= full, "another share was cut"
    assert np.isclose(trace.shares.sum(), 1) and (trace.shares > 0).all(), "shares that are none"
