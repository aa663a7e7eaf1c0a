"""The questions about the simulator itself: its speed, how its cost grows, how its costs agree with other tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.azure_llm_2023.loader import Request as Azure
from remeasure.datasets.vidur_a100.loader import Request as Vidur

from ..questions import Cell, Checked, Timed
from ..tuned import BLOCKLLM_TUNED, PM_TUNED

POPS = Metric("heap pops/s", "pops/s", better="higher", kind="time")
SHARE = Metric("share of a bare heap", "%", better="higher", kind="time")
CPU = Metric("CPU", "s", better="lower", kind="time")
A_REQUEST = Metric("CPU a request", "ms", better="lower", kind="time")
GROWN = Metric("memory grown", "MB", better="lower", kind="count", exact=False)
SPEED = (POPS, SHARE, CPU, A_REQUEST, GROWN)
OFF = Metric("absolute difference", "%", better="lower", kind="quality", per="size")


FULL = Cell(serving=BLOCKLLM_TUNED, workload="w1", load=1.0)


@case(
    dataset="azure_llm_2023",
    request=Azure(),
    arms=(
        Arm("BlockLLM, 1,000 requests", "reference", Timed(replace(FULL, workload="w3", load=10.0), 1_000)),
        Arm("BlockLLM, 5 minutes, 20 tenants", "reference", Timed(FULL)),
        Arm("PM, 5 minutes, 20 tenants", "ablation", Timed(replace(FULL, serving=PM_TUNED))),
        Arm("BlockLLM, 20 minutes, 20 tenants", "reference", Timed(replace(FULL, minutes=20.0))),
    ),
    metrics=SPEED,
    profiles={
        "tiny": At(
            seeds=(0,),
            set={"cell.minutes": 0.05, "requests": 20, "cell.serving.swaps": 20},
            evidence="scaled",
        ),
        "asv": At(seeds=(0,), rounds=2, arms=("BlockLLM, 1,000 requests",)),
        "smoke": At(seeds=(0,), arms=("BlockLLM, 1,000 requests", "BlockLLM, 5 minutes, 20 tenants")),
        "standard": At(seeds=(0, 1, 2)),
        "full": At(seeds=tuple(range(5))),
    },
    isolated=True,
    times_itself=True,
    tags=("tracked", "partial"),
)
def simulator_speed(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How many events a second does the simulator take off its heap with all policies, and a bare heap beside it?"""
    from ..runs.simulator import timed

    return timed(arm.config, data, seed)


@case(
    dataset="azure_llm_2023",
    request=Azure(),
    simulated=True,
    arms=tuple(
        Arm(
            f"{count:,} requests",
            "reference",
            Timed(replace(FULL, workload="w3", load=10.0), count),
            series="BlockLLM",
            x=count,
        )
        for count in (1_000, 3_000, 10_000, 30_000, 100_000)
    ),
    metrics=SPEED,
    profiles={
        "tiny": At(seeds=(0,), set={"requests": 20, "cell.serving.swaps": 20}, evidence="scaled"),
        "standard": At(seeds=(0,)),
        "full": At(seeds=(0, 1, 2)),
    },
    isolated=True,
    times_itself=True,
    axis="requests",
    tags=("partial",),
)
def simulator_scale(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Does a request cost the simulator more where there are more of them?"""
    from ..runs.simulator import timed

    return timed(arm.config, data, seed)


ANYWHERE = {name: At(seeds=(0,), evidence="modelled") for name in ("tiny", "smoke", "standard", "full")}


def checked_case(name: str, question: str, arms: dict[str, Checked]) -> Any:
    """A case that sets our times beside Vidur's, size by size."""

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
        from ..runs.simulator import checked

        return checked(arm.config, data)

    prepare.__doc__ = question
    return case(
        name=name,
        dataset="vidur_a100",
        request=Vidur(),
        arms=tuple(Arm(arm, "reference", config) for arm, config in arms.items()),
        metrics=(OFF,),
        profiles=ANYWHERE,
        tags=("deterministic", "partial"),
    )(prepare)


costs_layer = checked_case(
    "costs-layer",
    "How far are the four matrix products of a layer from a second measurement of the same GPU?",
    {stack: Checked(stack=stack) for stack in ("trtllm", "vllm", "sglang")},
)
costs_operators = checked_case(
    "costs-operators",
    "How far is each matrix product of a layer from a second measurement of the same GPU?",
    {stack: Checked("operators", stack) for stack in ("trtllm", "vllm", "sglang")},
)
costs_links = checked_case(
    "costs-links",
    "How far are our links from measured sends between two GPUs?",
    {"links": Checked("transfers")},
)
