"""What was chosen for the serving systems (Decision 10), and all trials behind it: `cluster_tuning.json`.

Equally many trials for each, on seeds that no case reports, judged by the geometric mean of p95s over two loads.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from remeasure.contracts import Tuning
from remeasure.errors import UserError

from .questions import Cell
from .sim.config import Serving
from .sim.systems import SYSTEMS

RECORD = Path(__file__).with_name("cluster_tuning.json")
UNTUNED = {name: serving for name, serving in SYSTEMS.items() if name != "strawman"}
SEEDS = (1000, 1001, 1002)
"""Used for nothing else."""
LOADS = (1.0, 2.0)
MINUTES = 1.0


def _recorded() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return recorded


def chosen(name: str) -> Serving:
    """A system with what was chosen for it."""
    return replace(UNTUNED[name], **_recorded()["systems"][name]["chosen"])


def tuning(name: str) -> Tuning:
    """The record of the choice, as an arm declares it."""
    recorded = _recorded()
    tried = recorded["systems"][name]
    return Tuning(
        space={field: tuple(values) for field, values in tried["space"].items()},
        trials=len(tried["trials"]),
        judged_on=recorded["judged_on"],
        chosen=tried["chosen"],
    )


PM_TUNED, PS_TUNED, BLOCKLLM_TUNED, IDEAL_TUNED, LLUMNIX_TUNED, ALPASERVE_TUNED = (
    chosen(name) for name in UNTUNED
)


def tune_systems(
    names: Collection[str], data: Any, label: str, report: Callable[[str], None]
) -> dict[str, Any]:
    """Every trial of these systems on `data`; what is returned is `cluster_tuning.json`, with the others as they were.

    Raises UserError for a name that no system has, and where the others were judged on something else.
    """
    from .cluster import P95, simulated
    from .sim.tuning import SPACES, tune

    loads = " and ".join(f"{load:g}" for load in LOADS)
    judged_on = (
        f"geometric mean of p95 latency at {loads} times the rate of {label}, {MINUTES:g} minutes, "
        f"{len(SEEDS)} seeds of their own"
    )
    before = _recorded()
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
