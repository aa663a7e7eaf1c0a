"""What was chosen for the host, threads and grain, and all trials behind it: `host_tuning.json`.

The pipeline and the sequential baseline have the same space; `runs/tuning.py` tries it.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remeasure.contracts import Tuning

from .config import System
from .systems import FLEXSERVE, cold

if TYPE_CHECKING:
    from .real.models import HostRun

SPACE: dict[str, tuple[Any, ...]] = {
    "compute_threads": (1, 2),
    "granularity": ("layer", "16 MiB", "4 MiB"),
}
SYSTEMS: dict[str, System] = {
    "pipeline": cold(FLEXSERVE),
    "sequential": replace(cold(FLEXSERVE), overlap=False),
}
RECORD = Path(__file__).with_name("host_tuning.json")


def with_choice(run: HostRun, choice: dict[str, Any]) -> HostRun:
    """The run with a point of SPACE put in."""
    system = replace(run.system, granularity=choice["granularity"])
    return replace(run, system=system, compute_threads=choice["compute_threads"])


def chosen(system: str) -> dict[str, Any]:
    """What was chosen for `pipeline` or `sequential`."""
    return dict(_recorded()["systems"][system]["chosen"])


def tuning(system: str) -> Tuning:
    """The record of the choice, as an arm declares it."""
    recorded = _recorded()
    tried = recorded["systems"][system]
    return Tuning(
        space={name: tuple(values) for name, values in recorded["space"].items()},
        trials=len(tried["trials"]),
        judged_on=recorded["judged_on"],
        chosen=tried["chosen"],
    )


def _recorded() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return recorded
