"""What the device's simulator costs this host, and how that grows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from remeasure.contracts import Arm, At, Metric, case

from ..questions import Simulated
from .device import REQUEST

CPU = Metric("CPU", "s", better="lower", kind="time")
RATE = Metric("requests/s", "requests/s", better="higher", kind="time")
GROWN = Metric("memory grown", "MB", better="lower", kind="count", exact=False)


def simulator_case(name: str, question: str, arms: Sequence[Arm], at: dict[str, At]) -> Any:
    """A case about the simulator's own cost on this host."""

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
        from ..runs.simulator import simulated

        return simulated(arm.config, data, seed)

    prepare.__doc__ = question
    return case(
        name=name,
        dataset="ondevice",
        request=REQUEST,
        simulated=True,
        arms=tuple(arms),
        metrics=(CPU, RATE, GROWN),
        profiles={"tiny": At(seeds=(0,), set={"requests": 20}, evidence="scaled"), **at},
        isolated=True,
        times_itself=True,
        tags=("partial",),
    )(prepare)


simulator_hour = simulator_case(
    "simulator-hour",
    "How long does the host take to simulate one hour of the device with ten workflows?",
    [Arm("one hour, ten workflows", "reference", Simulated())],
    {"smoke": At(seeds=(0,)), "standard": At(seeds=(0, 1, 2)), "full": At(seeds=(0, 1, 2))},
)
simulator_scale = simulator_case(
    "simulator-scale",
    "How do the simulator's time and memory grow with the number of requests?",
    [Arm(f"{count:,} requests", "reference", Simulated(count)) for count in (1_000, 10_000, 100_000)],
    {"standard": At(seeds=(0,)), "full": At(seeds=(0, 1, 2))},
)
