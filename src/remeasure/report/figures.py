"""The geometry of every interval that is drawn: values become percentages, templates draw them as inline SVG.

Percentages keep text at the page's own size on any width, and colours are CSS variables, so one drawing
serves light, dark, print and phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from ..judging.allowed import WIDTH_ALLOWED
from ..judging.judged import ArmSummary, CaseSummary, Judgement, Noise
from .numbers import shown
from .scales import Axis, axis, spans
from .words import ROLES


@dataclass(frozen=True)
class Mark:
    """An estimate with its interval, in percent of the axis."""

    at: float
    lo: float
    hi: float

    @property
    def width(self) -> float:
        return round(self.hi - self.lo, 2)


@dataclass(frozen=True)
class ClaimRow:
    claim: Judgement
    mark: Mark
    claimed: float | None
    """Where the claimed value stands."""
    seeds: list[float]
    outside: bool
    """The estimate lies beyond the axis, and is drawn at its edge."""


@dataclass(frozen=True)
class Panel:
    """Rows that share an axis, because they share a unit."""

    title: str
    note: str
    axis: Axis
    reference: float | None
    """Where `no effect` stands."""
    rows: list[ClaimRow]


def forest(claims: Sequence[Judgement]) -> list[Panel]:
    """One panel a kind of number: ratios, differences of each unit, values as a share of what was claimed."""
    groups: dict[tuple[str, str], list[Judgement]] = {}
    for claim in claims:
        if key := _group(claim):
            groups.setdefault(key, []).append(claim)
    order = ("ratio", "difference", "value", "bound")
    return [panel(groups[key], *key) for key in sorted(groups, key=lambda k: (order.index(k[0]), k[1]))]


def undrawn(claims: Sequence[Judgement]) -> list[Judgement]:
    """Claims without a number to draw; the plot names them, so that none seems missing."""
    return [claim for claim in claims if _group(claim) is None]


def claim_panel(claim: Judgement) -> Panel | None:
    """One claim alone, with the axis fitted to it."""
    key = _group(claim)
    return panel([claim], *key) if key else None


def panel(claims: Sequence[Judgement], kind: str, unit: str) -> Panel:
    title, note, neutral = {
        "ratio": ("Ratios", "above 1 favours the treatment; logarithmic", 1.0),
        "difference": ("Differences", "above 0 favours the treatment", 0.0),
        "value": ("Values", "as a share of the claimed number", None),
        "bound": ("Bounds", "the tick is the margin that was stated before the run", None),
    }[kind]
    metrics = {claim.metric for claim in claims}
    if kind != "ratio" and (unit or len(metrics) == 1) and (name := unit or metrics.pop()):
        title = f"{title}, in {name}"
    log = kind == "ratio"
    # A number that may not be used must not squeeze those that may.
    usable = [claim for claim in claims if claim.verdict.word != "invalid run"] or claims
    values = [v for claim in usable for v in _values(claim, kind) if v > 0 or not log]
    if neutral is not None:
        values.append(neutral)
    scale = axis(values, log=log, kind="share" if kind == "value" else kind)
    rows = [_row(claim, kind, scale) for claim in claims]
    return Panel(title, note, scale, None if neutral is None else scale.at(neutral), rows)


def _group(claim: Judgement) -> tuple[str, str] | None:
    numbers = (claim.estimate, claim.lo, claim.hi)
    if claim.estimate is None or not all(v is not None and isfinite(v) for v in numbers):
        return None
    if claim.kind == "ratio":
        return ("ratio", "") if claim.estimate > 0 else None
    if claim.kind == "value":
        return ("value", "") if claim.claimed else None
    if claim.kind == "difference":
        return "difference", claim.unit
    return "bound", claim.unit


def _share(claim: Judgement, kind: str) -> float:
    return abs(claim.claimed) if kind == "value" and claim.claimed else 1.0


def _values(claim: Judgement, kind: str) -> list[float]:
    known = [claim.estimate, claim.lo, claim.hi, claim.claimed, *claim.per_seed]
    return [v / _share(claim, kind) for v in known if v is not None]


def _row(claim: Judgement, kind: str, scale: Axis) -> ClaimRow:
    share = _share(claim, kind)
    assert claim.estimate is not None and claim.lo is not None and claim.hi is not None
    mark = Mark(scale.at(claim.estimate / share), scale.at(claim.lo / share), scale.at(claim.hi / share))
    claimed = None if claim.claimed is None else scale.at(claim.claimed / share)
    outside = not scale.lo <= claim.estimate / share <= scale.hi
    return ClaimRow(claim, mark, claimed, [scale.at(v / share) for v in claim.per_seed], outside)


@dataclass(frozen=True)
class ArmRow:
    arm: ArmSummary
    mark: Mark | None
    """None where a number is not finite: it is printed, not drawn."""


@dataclass(frozen=True)
class Stair:
    """Arms from strawman over optimized to reference, then ablations and controls."""

    axis: Axis
    from_zero: bool
    """A bar from zero is drawn only where the axis begins there."""
    rows: list[ArmRow]
    reference: float | None
    """Where the paper's system stands, as a line through all rows."""


def staircase(case: CaseSummary) -> Stair:
    roles = list(ROLES)
    arms = sorted(case.arms, key=lambda a: roles.index(a.role) if a.role in roles else len(roles))
    values = [v for a in arms for v in (a.mean, a.lo, a.hi) if isfinite(v)]
    log = spans(values, 50)
    from_zero = (
        not log and min(values, default=0.0) >= 0 and not _crowded([a.mean for a in arms if isfinite(a.mean)])
    )
    scale = axis([*values, 0.0] if from_zero else values, log=log, most=4 if log else 6)
    rows = [ArmRow(a, _mark(scale, a.mean, a.lo, a.hi)) for a in arms]
    reference = next((row.mark.at for row in rows if row.arm.role == "reference" and row.mark), None)
    return Stair(scale, from_zero, rows, reference)


def _mark(scale: Axis, at: float, lo: float, hi: float) -> Mark | None:
    return Mark(scale.at(at), scale.at(lo), scale.at(hi)) if all(map(isfinite, (at, lo, hi))) else None


def _crowded(means: Sequence[float]) -> bool:
    """True where bars from zero would all look alike."""
    return bool(means) and max(means) > 0 and min(means) > 0.6 * max(means)


@dataclass(frozen=True)
class NoiseRow:
    noise: Noise
    mark: Mark
    band: Mark
    """The range the guard allows for this clock."""


def noise_panel(noise: Sequence[Noise]) -> tuple[Axis, list[NoiseRow]]:
    """A/A intervals with the range that the guard allows their 90 % interval."""
    bands = {clock: (1 - allowed, 1 + allowed) for clock, allowed in WIDTH_ALLOWED.items()}
    values = [v for row in noise for v in (row.ratio, row.lo, row.hi, *bands.get(row.clock, bands["cpu"]))]
    scale = axis([*values, 1.0], kind="ratio")

    def mark(middle: float, lo: float, hi: float) -> Mark:
        return Mark(scale.at(middle), scale.at(lo), scale.at(hi))

    rows = [
        NoiseRow(row, mark(row.ratio, row.lo, row.hi), mark(1.0, *bands.get(row.clock, bands["cpu"])))
        for row in noise
    ]
    return scale, rows


def spoken(claim: Judgement) -> str:
    """A figure's row in words, for those who cannot see it."""
    estimate = shown(claim.kind, claim.estimate, claim.lo, claim.hi, claim.unit)
    said = f"{claim.id}: {estimate}"
    if claim.claimed is not None:
        said += f", claimed {shown(claim.kind, claim.claimed, unit=claim.unit).one}"
    return f"{said}, {claim.verdict.word}"
