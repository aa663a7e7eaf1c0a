"""Numbers as a reader wants them: as many digits as the interval supports, one style on every page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

NOTHING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Shown:
    """A number ready to print."""

    value: str
    interval: str = ""
    unit: str = ""

    @property
    def one(self) -> str:
        """The value with its unit."""
        return self.value + self.unit

    def __str__(self) -> str:
        return f"{self.one} {self.interval}".rstrip()


def shown(
    kind: str, value: float | None, lo: float | None = None, hi: float | None = None, unit: str = ""
) -> Shown:
    """A value and its interval. kind: `ratio` (1.32×), `difference` (signed), else plain with its unit."""
    if not _finite(value):
        return Shown(NOTHING)
    assert value is not None
    bounds = [b for b in (lo, hi) if b is not None]
    half = (max(bounds) - min(bounds)) / 2 if len(bounds) == 2 and all(map(_finite, bounds)) else None
    places = _places(kind, [value, *filter(_finite, bounds)], half, unit)
    sign = kind == "difference"
    # A single sample has no interval; [x, x] would look like certainty.
    wide = len(bounds) == 2 and bounds[0] != bounds[1]
    interval = f"[{_write(lo, places, sign)}, {_write(hi, places, sign)}]" if wide else ""
    return Shown(_write(value, places, sign), interval, _suffix(kind, unit))


def together(
    kind: str, values: Sequence[float], beside: Sequence[float | None] = (), unit: str = ""
) -> list[str]:
    """Several values of one quantity, with the digits of those they stand beside, without the unit."""
    finite = [v for v in [*values, *beside] if v is not None and math.isfinite(v)]
    places = _places(kind, finite * 2, None, unit) if finite else 0
    return [_write(v, places, kind == "difference") for v in values]


def amount(value: float | None, unit: str = "") -> str:
    """A plain value with its unit, in one string."""
    return shown("value", value, unit=unit).one


def count(number: int) -> str:
    return f"{number:,}"


def change(now: float | None, before: float | None) -> str:
    """How far a number moved, as a share of what it was."""
    if not _finite(now) or not _finite(before) or not before:
        return NOTHING
    assert now is not None
    share = 100 * (now - before) / abs(before)
    return "0 %" if abs(share) < 0.05 else f"{share:+.1f} %".replace("-", "−")


def short(sha: str) -> str:
    """The part of a hash that a reader compares."""
    return sha.removeprefix("sha256:")[:12]


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _suffix(kind: str, unit: str) -> str:
    if kind == "ratio":
        return "×"
    return f" {unit}" if unit else ""


def _places(kind: str, numbers: list[float], half: float | None, unit: str) -> int | None:
    """Decimal places that suit all the numbers together; None where only powers of ten do."""
    biggest = max(map(abs, numbers))
    if kind == "ratio":
        fine = 3 if half is not None and half < 0.02 else 2
        return _enough(numbers, fine if biggest < 10 else 1 if biggest < 100 else 0)
    if biggest == 0:
        return 0
    if biggest < 1e-4:
        return None
    places = min(max(2 - math.floor(math.log10(biggest)), 0), 5)
    if not unit and 1e-3 <= biggest <= 1.05:
        places = 4
    if half:
        places = max(places, min(-math.floor(math.log10(half)), 4))
    return _enough(numbers, places)


def _enough(numbers: list[float], places: int) -> int:
    """Fewer places where a single number needs no more: a claimed 5.3 is not 5.300."""
    if len(numbers) > 1:
        return places
    return next((p for p in range(places) if round(numbers[0], p) == numbers[0]), places)


def _write(value: float | None, places: int | None, sign: bool) -> str:
    if value is None or not math.isfinite(value):
        return "∞" if value == math.inf else "−∞" if value == -math.inf else NOTHING
    if places is None:
        if value == 0:
            return "0"
        mantissa, exponent = f"{value:.1e}".split("e")
        text = f"{mantissa}×10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    else:
        text = f"{value:,.{places}f}"
        if float(text.replace(",", "")) == 0:
            text = text.removeprefix("-")
    if sign and value > 0:
        text = f"+{text}"
    return text.replace("-", "−")
