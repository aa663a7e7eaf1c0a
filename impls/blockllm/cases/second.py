"""Does an independent second simulator end the same requests at the same moments? Costs are straight lines there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.datasets.azure_llm_2023.loader import Request

from ..questions import Compared
from ..sim.systems import BLOCKLLM, PM, PS, plain

DIFFERENCE = Metric("largest difference of completion", "ns", better="lower", kind="count", exact=False)
SAME = Metric("requests that end at the same moment", "%", better="higher", kind="count")


@case(
    dataset="azure_llm_2023",
    request=Request(),
    arms=(
        Arm("PM", "reference", Compared(plain(PM))),
        Arm("PS", "reference", Compared(plain(PS))),
        Arm("BlockLLM, scattered", "reference", Compared(plain(BLOCKLLM, placement="random"))),
        Arm(
            "BlockLLM, all in turn",
            "reference",
            Compared(plain(BLOCKLLM, placement="random", turns="round")),
        ),
        Arm(
            "BlockLLM, layers",
            "reference",
            Compared(plain(BLOCKLLM, granularity="layer", placement="round_robin"), minutes=0.1),
        ),
    ),
    metrics=(SAME, DIFFERENCE),
    profiles={
        "tiny": At(seeds=(0,), set={"minutes": 0.02}, evidence="modelled"),
        "standard": At(seeds=(0, 1, 2), evidence="modelled"),
        "full": At(seeds=tuple(range(5)), evidence="modelled"),
    },
    tags=("modelled", "partial"),
)
def simulator_simpy(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """Do requests end when a second simulator, on SimPy, says they do?"""
    from ..runs.second import compared

    return compared(arm.config, data, seed)
