"""Axes: where a value stands between 0 and 100 percent, and which ticks a reader would choose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .numbers import shown


@dataclass(frozen=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic axis. Positions are percentages, so that a figure fits any width of page."""

    lo: float
    hi: float
    log: bool
    ticks: tuple[Tick, ...]

    def at(self, value: float) -> float:
        """Percentage along the axis; what lies outside stands at the edge."""
        return _percent(value, self.lo, self.hi, self.log)


def axis(
    values: Iterable[float],
    *,
    log: bool = False,
    kind: str = "value",
    marks: Sequence[float] = (),
    most: int = 6,
) -> Axis:
    """An axis that holds all values with a little room. `marks` are ticks the reader expects."""
    finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    if log:
        room = max((math.log(high) - math.log(low)) * 0.05, 0.02)
        lo, hi = low * math.exp(-room), high * math.exp(room)
    else:
        room = (high - low) * 0.05 or abs(high) * 0.1 or 1.0
        # An axis that ends at zero ends there exactly: bars stand on it.
        lo = low if low == 0 < high else low - room
        hi = high if low < 0 == high else high + room
    at = [m for m in marks if lo <= m <= hi] or (
        _log_ticks(lo, hi, most) if log else _linear_ticks(lo, hi, most)
    )
    return Axis(lo, hi, log, tuple(Tick(_percent(t, lo, hi, log), _label(t, kind)) for t in at))


def spans(values: Iterable[float], factor: float) -> bool:
    """True where values are positive and the largest is `factor` times the smallest: draw them in logs."""
    known = list(values)
    return bool(known) and min(known) > 0 and max(known) / min(known) >= factor


def _percent(value: float, lo: float, hi: float, log: bool) -> float:
    if log:
        value, lo, hi = math.log(max(value, lo)), math.log(lo), math.log(hi)
    return round(min(max((value - lo) / (hi - lo), 0.0), 1.0) * 100, 2)


def _linear_ticks(lo: float, hi: float, most: int) -> list[float]:
    raw = (hi - lo) / max(most - 1, 1)
    scale = 10.0 ** math.floor(math.log10(raw))
    step = next(s * scale for s in (1, 2, 2.5, 5, 10) if s * scale >= raw * 0.999)
    first, last = math.ceil(lo / step), math.floor(hi / step)
    return [float(f"{k * step:.12g}") for k in range(first, last + 1)]


def _log_ticks(lo: float, hi: float, most: int) -> list[float]:
    for steps in ((1, 1.1, 1.25, 1.5, 2, 3, 4, 5, 6, 8), (1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        decades = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
        ticks = [t for d in decades for s in steps if lo <= (t := float(f"{s * 10.0**d:.6g}")) <= hi]
        if len(ticks) <= most:
            return ticks if len(ticks) >= 2 else _linear_ticks(lo, hi, most)
    return ticks[:: math.ceil(len(ticks) / most)]


def _label(value: float, kind: str) -> str:
    if kind == "ratio":
        return f"{value:g}×"
    if kind == "share":
        return f"{100 * value:g} %"
    if kind == "difference":
        return f"{value:+g}".replace("-", "−") if value else "0"
    if 1e-4 <= abs(value) < 1e7 or value == 0:
        return f"{value:,.10g}".replace("-", "−")
    return shown("value", value).value
