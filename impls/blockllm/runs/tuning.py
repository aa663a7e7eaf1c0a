"""Choosing what serving systems are measured at (Decision 10); `tuned.py` reads what was chosen.

Equally many trials for each, on seeds that no case reports, judged by the geometric mean of p95s over two loads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from remeasure.errors import UserError

from ..questions import Cell
from ..sim.config import Serving
from ..sim.tuning import SPACES, tune
from ..tuned import RECORD, UNTUNED, recorded
from .cluster import P95, simulated

SEEDS = (1000, 1001, 1002)
"""Used for nothing else."""
LOADS = (1.0, 2.0)
MINUTES = 1.0


def tune_systems(
    names: Collection[str], data: Any, label: str, report: Callable[[str], None]
) -> dict[str, Any]:
    """Every trial of these systems on `data`; what is returned is `cluster_tuning.json`, with the others as they were.

    Raises UserError for a name that no system has, and where the others were judged on something else.
    """
    loads = " and ".join(f"{load:g}" for load in LOADS)
    judged_on = (
        f"geometric mean of p95 latency at {loads} times the rate of {label}, {MINUTES:g} minutes, "
        f"{len(SEEDS)} seeds of their own"
    )
    before = recorded()
    for name in names:
        if name not in UNTUNED:
            raise UserError(f"no system to tune is called {name!r}; there are: {', '.join(UNTUNED)}.")
    if set(names) != set(UNTUNED) and before["judged_on"] != judged_on:
        raise UserError(
            f"the systems that stay were judged on {before['judged_on']}, not on {judged_on}: tune all of them."
        )

    def judge(serving: Serving) -> float:
        return geometric_mean(
            simulated(Cell(serving, load=load, minutes=MINUTES), data, seed)[P95]
            for load in LOADS
            for seed in SEEDS
        )

    systems = {}
    for name, untuned in UNTUNED.items():
        if name not in names:
            systems[name] = before["systems"][name]
            continue
        options = SPACES[name]
        best, trials = tune(untuned, options, judge)
        systems[name] = {
            "space": options,
            "trials": [{**trial.choice, "p95 s": round(trial.value, 4)} for trial in trials],
            "chosen": {field: getattr(best, field) for field in options},
        }
        report(f"{name}: {systems[name]['chosen']} of {len(trials)} trials")
    return {"judged_on": judged_on, "systems": systems}


def write(record: dict[str, Any], folder: Path) -> Path:
    path = folder / RECORD.name
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path
