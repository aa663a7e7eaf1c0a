"""Three cases: one on the CPU clock, one with a value per user, one on a simulated clock."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from remeasure.contracts import Arm, At, Metric, Tuning, case

from ...datasets.toydata.loader import Request
from .configs import Loop, Predictor, Queue

CPU = Metric("CPU seconds", unit="s", better="lower", kind="time", per="round")
ACCURACY = Metric("accuracy", unit="", better="higher", kind="quality", per="user")
LOOKUPS = Metric("lookups", unit="", better="lower", kind="count")
P95 = Metric("p95 latency", unit="s", better="lower", kind="virtual-time")

# CPU work 6 : 3 : 2, so "toy" is 3 times as fast as "slow" and 1.5 times as fast as "tuned".
LOOPS = (
    Arm("slow", "strawman", Loop(units=6)),
    Arm(
        "tuned",
        "optimized",
        Loop(units=3),
        tuning=Tuning({"units": (3, 4, 6)}, 3, "counting steps", {"units": 3}),
    ),
    Arm("toy", "reference", Loop(units=2)),
)

FULL = Predictor(group=True, own=True)
PREDICTORS = (
    Arm("global mean", "strawman", Predictor()),
    Arm(
        "group mean",
        "optimized",
        Predictor(group=True),
        tuning=Tuning({"group": (True, False)}, 2, "generator seed 1"),
    ),
    Arm("own and group", "reference", FULL),
    Arm("own and group, less own", "ablation", replace(FULL, weight=0.5)),
    Arm("peek", "control", Predictor(peek=True), invalid="It reads the answer it is asked for."),
)

QUEUES = tuple(
    Arm(f"{name}, {rate:g}/s", role, Queue(service_s=service, rate=rate), tuning, series=name, x=rate)
    for name, role, service, tuning in (
        ("long service", "strawman", 0.5, None),
        (
            "short service",
            "optimized",
            0.4,
            Tuning({"service_s": (0.4, 0.45)}, 2, "seed 1", {"service_s": 0.4}),
        ),
        ("shortest service", "reference", 0.25, None),
    )
    for rate in (0.5, 1.0, 1.5)
)


@case(
    dataset="toydata",
    request=Request(),
    arms=LOOPS,
    metrics=[CPU],
    profiles={
        "tiny": At(rounds=3, set={"steps": 400}),
        "smoke": At(seeds=(1, 2, 3), rounds=10),
        "standard": At(seeds=(1, 2, 3), rounds=30),
    },
    tags=("time",),
)
def loop_time(arm: Arm, data: Any, seed: int) -> Any:
    """How much CPU time does a loop of known length take?"""
    from .models import burn

    return lambda: burn(arm.config.units * arm.config.steps)


@case(
    dataset="toydata",
    request=Request(),
    arms=PREDICTORS,
    metrics=[ACCURACY, LOOKUPS],
    profiles={
        "tiny": At(set={"users": 30}),
        "smoke": At(seeds=(1, 2, 3), evidence="scaled", set={"users": 60}),
        "standard": At(seeds=(1, 2, 3)),
    },
    tags=("quality",),
)
def prediction(arm: Arm, data: Any, seed: int) -> Any:
    """How well is a user's next rating predicted?"""
    from .models import accuracy

    def run() -> dict[str, Any]:
        values = accuracy(arm.config, data.groups, data.seen, data.target, seed)
        return {"accuracy": values, "lookups": len(values) * (1 + arm.config.group + arm.config.own)}

    return run


@case(
    dataset="toydata",
    request=Request(),
    arms=QUEUES,
    metrics=[P95],
    profiles={
        "tiny": At(set={"requests": 50}, evidence="modelled"),
        "smoke": At(
            seeds=(1, 2, 3), evidence="modelled", arms=tuple(arm.name for arm in QUEUES if arm.x != 0.5)
        ),
        "standard": At(seeds=(1, 2, 3, 4, 5), evidence="modelled"),
    },
    axis="requests/s",
    tags=("queue",),
)
def queue_latency(arm: Arm, data: Any, seed: int) -> Any:
    """How long do requests wait in a queue on a simulated clock?"""
    from .models import p95_latency

    return lambda: {"p95 latency": p95_latency(arm.config, seed)}
