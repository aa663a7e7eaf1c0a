"""What one would say of a model that was left out without a model of the device: the least that a model must beat."""

from __future__ import annotations

from dataclasses import replace
from math import exp, log

from .calibration import Calibration
from .costs import Costs
from .laws import WEIGHTS
from .rows import MODELS, SYSTEMS, Row, bars, point, unseen


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
