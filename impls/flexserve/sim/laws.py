"""Prefill times, from bars where a model has them, else from what the other models say (June Figs 2, 5, Table 1).

NPU: a straight line over the prompt length with a floor for short prompts. The slope of a model without bars follows
the number of outputs of its matrix products, each of which June's engine de-quantises on the CPU: over the four models
slopes are nearer to proportional to that number than to weights or multiply-adds. CPU: multiply-adds to a fitted power,
at each prompt length. Both are mixed with the nearest model in size, scaled by weights (`unseen_by_weight`).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

import numpy as np

from .allocation import MS, Curve
from .calibration import Calibration
from .facts import ANCHOR, MODELS

NPU, CPU, WEIGHTS = "derived.npu_slope_ms_per_token.", "derived.cpu_prefill_s.", "derived.weights_GiB."


class NpuPrefill:
    """Seconds an NPU prefill takes by itself, weights in memory."""

    def __init__(self, calibration: Calibration, model: str) -> None:
        with_bars = calibration.of(NPU)
        slopes = {name: calibration.value(id) * MS for name, id in with_bars.items()}
        self.slope_s = slopes[model] if model in slopes else _slope(calibration, model, slopes)
        anchor = calibration.entry("table1.prefill_llama31_8b_128")
        anchor_tokens = float(anchor.prompt_tokens or 0)
        self.at_zero_s = 0.0
        if model == ANCHOR:
            self.at_zero_s = calibration.value(anchor.id) * MS - self.slope_s * anchor_tokens
        first = prompt_lengths(calibration)[0]
        self.floor_tokens = first + calibration.assumed["floor"] * (anchor_tokens - first)

    def __call__(self, tokens: float) -> float:
        return self.at_zero_s + self.slope_s * max(tokens, self.floor_tokens)


class CpuPrefill:
    """Seconds a CPU prefill takes; straight lines between prompt lengths, in proportion below the first."""

    def __init__(self, calibration: Calibration, model: str) -> None:
        tables = {name: _table(calibration, name) for name in calibration.of(CPU)}
        seconds = tables[model] if model in tables else _times(calibration, model, tables)
        self.curve = Curve((0.0, *prompt_lengths(calibration)), (0.0, *seconds))

    def __call__(self, tokens: float) -> float:
        return self.curve(tokens)


def prompt_lengths(calibration: Calibration) -> tuple[float, ...]:
    """Prompt lengths of Figure 5; beyond the last one all times continue the last line."""
    return calibration.points(next(iter(calibration.of(CPU).values())))[0]


def nearest(calibration: Calibration, model: str, others: Mapping[str, object]) -> tuple[str, float]:
    """The model among others that is nearest in size, and this model's weights over its weights."""
    own = calibration.value(WEIGHTS + model)
    ratios = {name: own / calibration.value(WEIGHTS + name) for name in others}
    name = min(ratios, key=lambda other: abs(log(ratios[other])))
    return name, ratios[name]


def _mixed(calibration: Calibration, law: float, by_weight: float) -> float:
    share = calibration.assumed["unseen_by_weight"]
    return exp((1 - share) * log(law) + share * log(by_weight))


def _slope(calibration: Calibration, model: str, others: Mapping[str, float]) -> float:
    per_output = [log(slope / MODELS[name].outputs) for name, slope in others.items()]
    law = MODELS[model].outputs * exp(sum(per_output) / len(per_output))
    name, ratio = nearest(calibration, model, others)
    return _mixed(calibration, law, others[name] * ratio)


def _table(calibration: Calibration, model: str) -> tuple[float, ...]:
    """CPU prefill of a model with bars; the anchor's value at its own prompt length is the text's, which is exact."""
    x, y = calibration.points(CPU + model)
    anchor = calibration.entry("fig2.strawman.compute")
    return tuple(
        calibration.value(anchor.id) if model == ANCHOR and tokens == anchor.prompt_tokens else seconds
        for tokens, seconds in zip(x, y, strict=True)
    )


def _times(
    calibration: Calibration, model: str, others: Mapping[str, tuple[float, ...]]
) -> tuple[float, ...]:
    """log t = a × log(multiply-adds) + b(prompt length), least squares over the other models."""
    work = np.log([MODELS[name].layer_weights for name in others])
    times = np.log(list(others.values()))
    centred = work - work.mean()
    power = centred @ (times - times.mean(axis=0)) / (centred @ centred)
    law = np.exp(times.mean(axis=0) + power.mean() * (log(MODELS[model].layer_weights) - work.mean()))
    name, ratio = nearest(calibration, model, others)
    seconds = [
        _mixed(calibration, float(by_law), other * ratio)
        for by_law, other in zip(law, others[name], strict=True)
    ]
    if model == ANCHOR:
        anchor = calibration.entry("fig2.strawman.compute")
        at = prompt_lengths(calibration).index(float(anchor.prompt_tokens or 0))
        seconds = [s * calibration.value(anchor.id) / seconds[at] for s in seconds]
    return tuple(seconds)
