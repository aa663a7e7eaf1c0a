"""An estimate, what it is made of, and how far it may be off; see docs/statistics.md.

Every interval is at 95 % and symmetric on its own scale: half its width is the root of the sum, over the parts of its
variance, of Student's t at the part's degrees of freedom squared, times the part. One part is the plain t interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from scipy import optimize, stats

from .judged import CONFIDENCE

POWER = 0.8
"""Share of repeats in which an effect as large as `detectable` would have been found."""
ROUNDING = 1e-12
"""Half a width of so little, relative to the number, is what sums of equal samples differ by; it is no spread."""
Kind = Literal["interval", "range", "none"]
"""interval: covers the truth so often; range: of draws, which is no interval; none: the value alone."""


@dataclass(frozen=True)
class Part:
    """One source of what an estimate is off by: users, training seeds, processes."""

    variance: float
    """Of the estimate, on its scale."""
    df: int


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    estimate: float
    lo: float
    hi: float
    n: int
    """Independent units behind it: processes, seeds, users; draws of a range."""
    kind: Kind = "interval"
    parts: tuple[Part, ...] = ()
    """Empty where the bounds come another way: shares, ranges, plain values."""
    logs: bool = False
    """The scale is that of logarithms, as for ratios."""
    trials: int = 0
    """Of a share, how many units; 0 for anything else."""
    top: float = 1.0
    """Of a share, what all units are: 1, or 100 where it is said in percent."""
    design_effect: float | None = None
    """Variance of the estimate against that of as many samples that were independent."""

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, (self.estimate, self.lo, self.hi)))

    def scaled(self, factor: float) -> Interval:
        """In another unit."""
        lo, hi = sorted((self.lo * factor, self.hi * factor))
        parts = self.parts if self.logs else tuple(Part(p.variance * factor**2, p.df) for p in self.parts)
        return replace(self, estimate=self.estimate * factor, lo=lo, hi=hi, parts=parts, trials=0)

    def inverted(self) -> Interval:
        """Of one over the value; on the scale of logarithms, where the parts stay what they are."""
        lo, hi = sorted((1 / self.lo, 1 / self.hi))
        parts = self.parts if self.logs else ()
        return replace(self, estimate=1 / self.estimate, lo=lo, hi=hi, parts=parts, trials=0)

    def at(self, confidence: float) -> tuple[float, float]:
        """Bounds at another confidence; needs parts."""
        half = half_width(self.parts, confidence)
        return self._from(self._centre - half), self._from(self._centre + half)

    def p(self, null: float) -> float | None:
        """Two-sided, against a value of the estimate; None where there is no interval to be outside of."""
        if self.kind != "interval":
            return None
        if self.trials:
            whole, share = round(self.estimate * self.trials / self.top), null / self.top
            return float(min(1.0, 2 * min(_tails(whole, self.trials, min(1.0, max(0.0, share))))))
        if not self.parts or (self.logs and null <= 0):
            return None
        return _p(abs(self._centre - (math.log(null) if self.logs else null)), self.parts)

    def detectable(self) -> float | None:
        """The smallest effect that would have been found in 4 of 5 repeats: a ratio above 1, or a difference."""
        if self.kind != "interval" or not self.parts:
            return None
        wide = math.sqrt(
            sum(
                (_t(CONFIDENCE, part.df) + stats.t.ppf(POWER, part.df)) ** 2 * part.variance
                for part in self.parts
            )
        )
        return math.exp(wide) if self.logs else wide

    @property
    def _centre(self) -> float:
        return math.log(self.estimate) if self.logs else self.estimate

    def _from(self, value: float) -> float:
        return math.exp(min(value, 700.0)) if self.logs else value


def of_parts(
    centre: float, parts: tuple[Part, ...], n: int, *, logs: bool = False, design_effect: float | None = None
) -> Interval:
    """The interval around `centre`, which is a logarithm where `logs`."""
    half = half_width(parts, CONFIDENCE)
    if half <= ROUNDING * (1.0 if logs else abs(centre)):
        return alone(math.exp(centre) if logs else centre, n)
    ends = (centre - half, centre, centre + half)
    lo, estimate, hi = (math.exp(min(end, 700.0)) for end in ends) if logs else ends
    return Interval(estimate, lo, hi, n, "interval", parts, logs, design_effect=design_effect)


def alone(value: float, n: int) -> Interval:
    """A value without an interval."""
    return Interval(value, value, value, n, "none")


def half_width(parts: tuple[Part, ...], confidence: float) -> float:
    return math.sqrt(sum(_t(confidence, part.df) ** 2 * part.variance for part in parts))


def _p(distance: float, parts: tuple[Part, ...]) -> float:
    """The smallest α at which the interval still excludes a value so far away."""
    parts = tuple(part for part in parts if part.variance > 0)
    if len(parts) == 1:
        (part,) = parts
        return float(2 * stats.t.sf(distance / math.sqrt(part.variance), part.df))

    def beyond(log_alpha: float) -> float:
        return half_width(parts, 1 - math.exp(log_alpha)) - distance

    least = math.log(1e-12)
    if beyond(least) <= 0:
        return 0.0
    return math.exp(float(optimize.brentq(beyond, least, 0.0)))


def _tails(whole: int, trials: int, share: float) -> tuple[float, float]:
    return float(stats.binom.cdf(whole, trials, share)), float(stats.binom.sf(whole - 1, trials, share))


@lru_cache
def _t(confidence: float, df: int) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, df))
