"""What one would say of a model that was left out without a model of the device: the least that a model must beat.

And the least error that one law of size can have when it is told the very bars that it is judged by.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

import numpy as np

from .calibration import Calibration
from .costs import Costs
from .facts import MODELS as SHAPES
from .laws import WEIGHTS
from .rows import MODELS, SYSTEMS, Row, bars, point, unseen
from .timeline import prefill

POWERS = np.arange(0, 2 * 10**3) / 10**3
"""Powers of size that `size_law_told` goes through."""


def size_rule(calibration: Calibration) -> list[Row]:
    """The other models' bars scaled by weights, their geometric mean: a rule that knows nothing of stages."""
    rows = []
    for model in MODELS:
        others = [other for other in MODELS if other != model]
        gib = {name: calibration.value(WEIGHTS + name) for name in MODELS}
        for name in SYSTEMS:
            for index in range(len(calibration.points(f"fig5.{model}.{name}")[0])):
                logs = [
                    log(calibration.points(f"fig5.{other}.{name}")[1][index] * gib[model] / gib[other])
                    for other in others
                ]
                seconds = exp(sum(logs) / len(logs))
                rows.append(point(calibration, "Figure 5", f"fig5.{model}.{name}", index, seconds, "trivial"))
    return rows


def speedups(calibration: Calibration) -> list[Row]:
    """FlexServe's speedups in Figure 5: of a model left out, and by the rule that all models have the others' ratio."""
    rows = []
    for baseline in ("Strawman-OPT", "Strawman"):
        what = f"speedup over {baseline}"
        paper: dict[tuple[str, int], float] = {}
        for model in MODELS:
            costs = Costs(unseen(calibration, model))
            slow, fast = (
                bars(calibration, costs, model, name, "left out") for name in (baseline, "FlexServe")
            )
            for index, (a, b) in enumerate(zip(slow, fast, strict=True)):
                paper[model, index] = a.paper / b.paper
                rows.append(
                    replace(
                        b,
                        what=what,
                        unit="",
                        paper=a.paper / b.paper,
                        modelled=a.modelled / b.modelled,
                        tolerance=a.paper / b.paper * (a.tolerance / a.paper + b.tolerance / b.paper),
                    )
                )
        for row in [row for row in rows if row.what == what]:
            others = [log(ratio) for (model, _), ratio in paper.items() if model != row.model]
            rows.append(replace(row, modelled=exp(sum(others) / len(others)), role="trivial"))
    return rows


def size_law_told(calibration: Calibration) -> list[Row]:
    """Strawman's bars by the law of sizes that fits them best, chosen with all of them known: a floor, no prediction.

    CPU prefill is c(prompt length) × multiply-adds ** power, the stages before it are the device model's. For one
    power the best c of a prompt length meets one of its bars exactly (the error is piecewise linear in c), so the
    minimum over all c and `POWERS` is found, not searched for. No single law of this form comes nearer to these bars.
    """
    costs, system = Costs(calibration), SYSTEMS["Strawman"]
    ids = [f"fig5.{model}.Strawman" for model in MODELS]
    tokens, _ = calibration.points(ids[0])
    paper = np.array([calibration.points(id)[1] for id in ids])
    before = np.array(
        [
            [
                found.ttft_s - found.busy["compute"]
                for n in tokens
                for found in [prefill(system, model, int(n), costs)]
            ]
            for model in MODELS
        ]
    )
    sizes = np.array([SHAPES[model].layer_weights for model in MODELS], dtype=float)
    per_power = (sizes / sizes[0]) ** POWERS[:, None]
    choices = (paper - before) / per_power[:, :, None]  # [power, bar met, prompt]
    said = before + choices[:, :, None] * per_power[:, None, :, None]  # [power, bar met, model, prompt]
    error = np.abs(said / paper - 1).sum(axis=2)
    power = int(error.min(axis=1).sum(axis=1).argmin())
    met = error[power].argmin(axis=0)
    return [
        point(calibration, "Figure 5", id, j, float(said[power, met[j], i, j]), "told")
        for i, id in enumerate(ids)
        for j in range(len(tokens))
    ]
