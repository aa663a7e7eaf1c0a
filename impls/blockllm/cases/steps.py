"""The questions about single steps: a decision of the dispatcher, a placement, a batch of a shared block.

They are small, compare two ways within one process, and are what asv follows from commit to commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from remeasure.contracts import Arm, At, Metric, Role, case
from remeasure.datasets.azure_llm_2023.loader import Request as Azure

from ..questions import Cell, Decoded, Dispatched, Placed
from ..tuned import BLOCKLLM_TUNED
from .models import CPU, FIVE, MICRO, TENANTS

DECISIONS = Metric("CPU of 1,000 decisions", "ms", better="lower", kind="time", per="round")
SEARCH = Metric("CPU of a placement", "ms", better="lower", kind="time", per="round")


BURSTS = Cell(serving=BLOCKLLM_TUNED, workload="w3", load=20.0, minutes=1.0)
"""A synthetic minute with bursts."""


def profiles(tiny: dict[str, Any], rounds: int) -> dict[str, At]:
    return {
        "tiny": At(seeds=(0,), rounds=2, set={"cell.minutes": 0.1, **tiny}, evidence="scaled"),
        "asv": At(seeds=(0,), rounds=rounds),
        "smoke": At(seeds=(0, 1, 2), rounds=rounds),
        "standard": At(seeds=FIVE, rounds=2 * rounds),
        "full": At(seeds=FIVE, rounds=4 * rounds),
    }


@case(
    dataset="azure_llm_2023",
    request=Azure(),
    simulated=True,
    arms=(
        Arm("any instance", "strawman", Dispatched(BURSTS, kv="random")),
        Arm("least expected cost", "reference", Dispatched(BURSTS)),
    ),
    metrics=(DECISIONS,),
    profiles=profiles({"decisions": 10, "cell.serving.swaps": 20}, 10),
    tags=("tracked", "partial"),
)
def dispatch_time(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does choosing a request's path by expected cost take, beside choosing any?"""
    from ..runs.steps import dispatched

    return dispatched(arm.config, seed)


@case(
    dataset="azure_llm_2023",
    request=Azure(),
    simulated=True,
    arms=(
        Arm("first choice", "strawman", Placed(BURSTS)),
        Arm("1,000 exchanges tried", "reference", Placed(BURSTS, swaps=1_000)),
    ),
    metrics=(SEARCH,),
    profiles=profiles({"swaps": 20}, 5),
    tags=("tracked", "partial"),
)
def placement_time(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """What does the search of a placement take, beside its first choice?"""
    from ..runs.steps import placed

    return placed(arm.config, seed)


def batched(name: str, role: Role, how: Literal["monolith", "chain"]) -> list[Arm]:
    """One arm for each number of tenants; a shared block's batch has a row of each."""
    return [
        Arm(f"{name}, {tenants}", role, Decoded(how=how, tenants=tenants), series=name, x=tenants)
        for tenants in (1, 20, 64)
    ]


@case(
    dataset="nltk_corpora",
    request=TENANTS,
    arms=(
        *batched("models one after the other", "strawman", "monolith"),
        *batched("shared blocks", "reference", "chain"),
    ),
    metrics=(CPU,),
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set=MICRO, evidence="scaled"),
        "asv": At(seeds=(0,), rounds=5, set=MICRO, evidence="scaled"),
    },
    axis="tenants",
    tags=("tracked", "partial"),
)
def block_batches(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """How does what batching at shared blocks gains grow with the tenants?"""
    from ..runs.decode import decoded

    return decoded(arm.config, data, seed)
