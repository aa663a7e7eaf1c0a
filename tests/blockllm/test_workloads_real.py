"""W1 and W2 of the real traces: how many requests there are, and what share of prompts is cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from blockllm.workload_traces import check

from remeasure.datasets.azure_llm_2023 import loader as azure_llm_2023
from remeasure.datasets.azure_llm_2023.loader import Services
from remeasure.datasets.servegen import loader as servegen_loader
from remeasure.impls.blockllm.sim.workloads import w1, w2

DATA = Path(os.environ.get("REMEASURE_DATA", ""))
needs_real = pytest.mark.skipif(
    not os.environ.get("REMEASURE_DATA")
    or not (DATA / "servegen").is_dir()
    or not (DATA / "azure_llm_2023").is_dir(),
    reason="no real azure_llm_2023 and servegen in $REMEASURE_DATA",
)


@pytest.fixture(scope="module")
def real() -> tuple[Services, servegen_loader.Clients]:
    return (
        azure_llm_2023.load(azure_llm_2023.Request(), DATA / "azure_llm_2023"),
        servegen_loader.load(servegen_loader.Request(), DATA / "servegen"),
    )


@needs_real
@pytest.mark.parametrize(("context", "share"), [(4096, 0.1016), (2048, 0.2198)])
def test_the_clipped_share_of_the_whole_real_w1(
    real: tuple[Services, servegen_loader.Clients], context: int, share: float
) -> None:
    trace = w1(real[0], seed=0, minutes=3513.3 / 60, context=context)
    check(trace, context)
    assert len(trace) == pytest.approx(28_185, abs=3)
    assert trace.clipped == pytest.approx(share, abs=0.001)


@needs_real
@pytest.mark.parametrize(
    ("lengths", "context", "low", "high"),
    [
        ("own", 4096, 0.005, 0.02),
        ("own", 2048, 0.01, 0.03),
        ("conv", 4096, 0.075, 0.095),
        ("conv", 2048, 0.13, 0.16),
    ],
)
def test_the_clipped_share_of_the_real_w2(
    real: tuple[Services, servegen_loader.Clients], lengths: Any, context: int, low: float, high: float
) -> None:
    azure, clients = real
    trace = w2(
        clients, seed=0, load_rps=10, lengths=lengths, conv=azure.service("conv"), minutes=60, context=context
    )
    check(trace, context)
    assert low < trace.clipped < high


@needs_real
def test_real_windows_of_five_minutes_hold_the_mean_load(
    real: tuple[Services, servegen_loader.Clients],
) -> None:
    assert {len(w1(real[0], seed=seed)) for seed in range(20)} == {2407}
