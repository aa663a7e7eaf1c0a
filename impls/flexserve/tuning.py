"""Choosing threads and grain on the host, for the pipeline and for the sequential baseline alike.

`remeasure do flexserve tune --out impls/flexserve` writes `host_tuning.json`: every trial, the same space for both,
judged by the median TTFT of prompts from WikiText-2's validation part. What is reported uses its test part.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import geometric_mean, median
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
TOKENS = (64, 128, 256)
ROUNDS = 7
"""Prompts a length; the data have one more passage, which warms up."""
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


def tune(passages: Sequence[str], label: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Every trial of every system; what is returned is `host_tuning.json`."""
    from .host import LONGEST, prompt
    from .real.models import HostRun
    from .real.server import HostServer

    systems = {}
    lengths = ", ".join(map(str, TOKENS))
    for name, system in SYSTEMS.items():
        trials = []
        for values in itertools.product(*SPACE.values()):
            choice = dict(zip(SPACE, values, strict=True))
            run = with_choice(HostRun(system=system, prompt_tokens=LONGEST), choice)
            with HostServer(run) as server:
                medians = []
                for tokens in TOKENS:
                    taken = []
                    for passage in passages[: ROUNDS + 1]:
                        server.release()
                        taken.append(server.prefill(prompt(run.model, passage, tokens)).ttft_s)
                    medians.append(median(taken[1:]))
            trials.append({**choice, "TTFT s": round(geometric_mean(medians), 4)})
            report(f"{name}: {trials[-1]}")
        best = min(trials, key=lambda trial: trial["TTFT s"])
        systems[name] = {"trials": trials, "chosen": {field: best[field] for field in SPACE}}
    return {
        "judged_on": f"geometric mean over prompts of {lengths} tokens of the median TTFT of {ROUNDS} prompts, {label}",
        "space": SPACE,
        "systems": systems,
    }


def write(record: dict[str, Any], folder: Path) -> Path:
    path = folder / RECORD.name
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _recorded() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    return recorded
