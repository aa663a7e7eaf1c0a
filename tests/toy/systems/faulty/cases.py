"""One case that behaves until `--set fault=...`: raise, bad-input, hang, exit, memory, unequal, nan."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

from remeasure.contracts import Arm, At, Metric, case
from remeasure.errors import UserError

from ...datasets.toydata.loader import Request


@dataclass(frozen=True)
class Fault:
    """What goes wrong."""

    fault: str = "none"
    """raise, bad-input, hang, exit, memory, unequal or nan."""
    seconds: float = 0.0
    """Slept before every round, so that a test can interrupt it."""


ARMS = tuple(Arm(role, role, Fault()) for role in ("strawman", "reference"))


@case(
    dataset="toydata",
    request=Request(),
    arms=ARMS,
    metrics=[Metric("score", unit="", better="higher", kind="quality", per="user")],
    profiles={"tiny": At(set={"users": 10}), "smoke": At(seeds=(1, 2), set={"users": 10})},
    timeout_s=20.0,
    memory_mb=700.0,
    tags=("partial",),
)
def fragile(arm: Arm, data: Any, seed: int) -> Any:
    """What happens when an arm misbehaves?"""

    def run() -> dict[str, Any]:
        time.sleep(arm.config.seconds)
        values = [float(user % 7) for user in range(len(data.target))]
        match arm.config.fault:
            case "raise":
                raise RuntimeError("planted fault")
            case "bad-input":
                raise UserError("toydata is not what the case needs; planted fault.")
            case "hang":
                time.sleep(3600)
            case "exit":
                os._exit(9)
            case "memory":
                hoard = []
                while True:
                    hoard.append(bytearray(64 << 20))
            case "unequal":
                values = values[: len(values) - (arm.role == "reference")]
            case "nan":
                values[0] = float("nan")
        return {"score": values}

    return run
