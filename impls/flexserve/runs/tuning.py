"""Choosing threads and grain on the host, for the pipeline and for the sequential baseline alike.

`remeasure do flexserve tune --out impls/flexserve` writes `host_tuning.json`: every trial, the same space for both,
judged by the median TTFT of prompts from WikiText-2's validation part. What is reported uses its test part.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any

from ..questions import LONGEST
from ..real.models import HostRun
from ..real.server import HostServer
from ..tuned import RECORD, SPACE, SYSTEMS, with_choice
from .host import prompt

TOKENS = (64, 128, 256)
ROUNDS = 7
"""Prompts a length; the data have one more passage, which warms up."""


def tune(passages: Sequence[str], label: str, report: Callable[[str], None]) -> dict[str, Any]:
    """Every trial of every system; what is returned is `host_tuning.json`."""
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
