"""One number of the paper beside what the device model says of it, and the errors of many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import log, sqrt
from typing import Literal

from ..systems import FLEXSERVE, NW_BASE, STRAWMAN, STRAWMAN_OPT, cold
from .calibration import Calibration
from .costs import Costs
from .facts import ANCHOR
from .laws import CPU, NPU
from .timeline import prefill

Role = Literal["calibrated", "check", "left out", "disputed", "trivial", "told"]
SYSTEMS = {
    "NW-Base": NW_BASE,
    "FlexServe": cold(FLEXSERVE),
    "Strawman-OPT": STRAWMAN_OPT,
    "Strawman": STRAWMAN,
}
MODELS = ("Llama3.2-3B", ANCHOR, "Qwen3-1.7B", "Qwen3-8B")
"""The models of Figure 5."""
COUNTED_IN = 2
"""A number other than Figure 5's must lie within so many of its stated tolerances."""


@dataclass(frozen=True)
class Row:
    """One number of the paper and what the model says."""

    figure: str
    system: str
    model: str
    what: str
    x: float | None
    """Prompt tokens, GB of size or GB of background; None where there is no axis."""
    unit: str
    paper: float
    modelled: float
    tolerance: float
    """How far the paper's number may be from what was measured: printing or digitising."""
    role: Role
    """calibrated: an input; check: not an input; left out: said by the other models; disputed: the paper has two
    values for it; trivial: what a rule without a model says; told: the nearest of its form, the bars known."""

    @property
    def error(self) -> float:
        """Modelled minus paper, in the row's unit."""
        return self.modelled - self.paper

    @property
    def relative(self) -> float:
        """Error as a share of the paper's number."""
        return self.error / self.paper

    @property
    def within(self) -> bool:
        """Inside twice the tolerance; rounding of the last digit of a float is forgiven."""
        return abs(self.error) <= COUNTED_IN * self.tolerance * (1 + 1e-9)


def mean_error(rows: Iterable[Row]) -> float:
    """Mean absolute relative error."""
    errors = [abs(row.relative) for row in rows]
    return sum(errors) / len(errors)


def scatter(rows: Iterable[Row]) -> float:
    """Root mean square of log(modelled / paper): what an interval lacks that is drawn from tolerances alone."""
    squares = [log(row.modelled / row.paper) ** 2 for row in rows]
    return sqrt(sum(squares) / len(squares))


def unseen(calibration: Calibration, model: str) -> Calibration:
    """The calibration without everything that came from the model's own bars in Figure 5."""
    own = (NPU + model, CPU + model, *(f"fig5.{model}.{name}" for name in SYSTEMS))
    return calibration.without(own)


def bars(calibration: Calibration, costs: Costs, model: str, system: str, role: Role) -> Iterator[Row]:
    """Rows of one model and system in Figure 5, cold TTFT over prompt lengths, s."""
    id = f"fig5.{model}.{system}"
    for index, tokens in enumerate(calibration.entry(id).x):
        seconds = prefill(SYSTEMS[system], model, int(tokens), costs).ttft_s
        yield point(calibration, "Figure 5", id, index, seconds, role)


def single(calibration: Calibration, figure: str, id: str, modelled: float, role: Role) -> Row:
    """A row of an entry that is one number; TypeError for a curve."""
    entry = calibration.entry(id)
    if entry.value is None or isinstance(entry.half_width, tuple):
        raise TypeError(f"{id} is a curve")
    return Row(
        figure,
        entry.system,
        entry.model,
        entry.quantity,
        None,
        entry.unit,
        entry.value,
        modelled,
        entry.half_width,
        role,
    )


def point(calibration: Calibration, figure: str, id: str, index: int, modelled: float, role: Role) -> Row:
    """A row of one point of a curve."""
    entry = calibration.entry(id)
    width = entry.half_width
    tolerance = width[index] if isinstance(width, tuple) else width
    return Row(
        figure,
        entry.system or entry.allocator,
        entry.model,
        entry.quantity,
        entry.x[index],
        entry.unit,
        entry.y[index],
        modelled,
        tolerance,
        role,
    )
