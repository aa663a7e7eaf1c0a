"""What was chosen for the serving systems (Decision 10), and all trials behind it: `cluster_tuning.json`.

Equally many trials for each, on seeds that no case reports, judged by the geometric mean of p95s over two loads.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from remeasure.contracts import Tuning

from .sim.config import Serving
from .sim.systems import SYSTEMS

RECORD = Path(__file__).with_name("cluster_tuning.json")
UNTUNED = {name: serving for name, serving in SYSTEMS.items() if name != "strawman"}


def recorded() -> dict[str, Any]:
    """What `cluster_tuning.json` holds."""
    read: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return read


def chosen(name: str) -> Serving:
    """A system with what was chosen for it."""
    return replace(UNTUNED[name], **recorded()["systems"][name]["chosen"])


def tuning(name: str) -> Tuning:
    """The record of the choice, as an arm declares it."""
    all_of_them = recorded()
    tried = all_of_them["systems"][name]
    return Tuning(
        space={field: tuple(values) for field, values in tried["space"].items()},
        trials=len(tried["trials"]),
        judged_on=all_of_them["judged_on"],
        chosen=tried["chosen"],
    )


PM_TUNED, PS_TUNED, BLOCKLLM_TUNED, IDEAL_TUNED, LLUMNIX_TUNED, ALPASERVE_TUNED = (
    chosen(name) for name in UNTUNED
)
