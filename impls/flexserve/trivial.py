"""What one would predict without a device model: Figure 5's bars as they are, and its mean ratios everywhere.

It is told as much as the model about the workloads, so that the two differ in the model alone.
"""

from __future__ import annotations

import numpy as np

from .figures import PROMPT, Cell, Setting
from .sim.laws import nearest
from .systems import FLEXSERVE

FLEX = "fig5.{}.FlexServe"
STEPS = ("CMA", "+Flex-NPU", "+Flex-Mem", "+Pipe")
"""Steps of Figure 11 that the rule spreads the whole ratio over, in equal factors; later ones change nothing."""


def trivial_rule(cell: Cell, setting: Setting) -> float:
    """The rule's value for a cell, s or relative."""
    if cell.figure == 10:
        return 1.0  # nobody is slowed down
    if cell.figure == 11:
        left = max(0, len(STEPS) - 1 - STEPS.index(cell.arm)) if cell.arm in STEPS else 0
        factor = float(np.power(_ratio(setting, "Strawman"), left / (len(STEPS) - 1)))
        return _bar(setting, cell.subject, PROMPT) * factor
    return _flexserve(cell, setting) * _ratio(setting, cell.arm)


def _flexserve(cell: Cell, setting: Setting) -> float:
    if cell.figure == 7:
        return _bar(setting, cell.subject, PROMPT)
    if cell.figure == 8:
        stream = setting.data.stream(cell.subject, cell.x)
        names = np.array(stream.group.models)[stream.model]
        tokens = stream.prompt_tokens()
        return float(
            np.mean([_bar(setting, m, n) for m, n in zip(names.tolist(), tokens.tolist(), strict=True)])
        )
    steps = setting.data.workflow(cell.subject).steps
    decoded = sum((s.new - 1) * setting.costs.decode_s(s.model, FLEXSERVE) for s in steps[:-1])
    return decoded + sum(_bar(setting, s.model, s.prompt) for s in steps)


def _bar(setting: Setting, model: str, tokens: float) -> float:
    """FlexServe's bar of Figure 5 at a prompt length; a model without bars like the nearest in size, by weights."""
    calibration = setting.costs.calibration
    with_bars = {
        entry.model: entry.id
        for entry in calibration.entries.values()
        if entry.id == FLEX.format(entry.model)
    }
    name, ratio = (model, 1.0) if model in with_bars else nearest(calibration, model, with_bars)
    return float(np.interp(tokens, *calibration.points(with_bars[name]))) * ratio


def _ratio(setting: Setting, system: str) -> float:
    """Mean ratio of a system's bars in Figure 5 to FlexServe's."""
    calibration = setting.costs.calibration
    models = [entry.model for entry in calibration.entries.values() if entry.id == FLEX.format(entry.model)]
    slow, fast = (
        np.concatenate([calibration.points(f"fig5.{model}.{name}")[1] for model in models])
        for name in (system, "FlexServe")
    )
    return float((slow / fast).mean())
