"""The geometry of the charts, in percentages: curves over scale or load, scatters, and gain against cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from ..judging.judged import ArmSummary, CaseSummary
from .scales import Axis, axis, spans

_LABEL_GAP = 7.0
"""Percent of a chart's height that one label needs."""


@dataclass(frozen=True)
class Dot:
    arm: ArmSummary
    x: float
    y: float
    lo: float
    hi: float


@dataclass(frozen=True)
class Series:
    name: str
    style: int
    """Which colour, dash and marker, counted from 1."""
    dots: list[Dot]
    label_y: float
    stops: str
    """What to say where the curve ends before the others do."""

    @property
    def segments(self) -> list[tuple[Dot, Dot]]:
        return list(pairwise(self.dots))


@dataclass(frozen=True)
class Chart:
    x: Axis
    y: Axis
    series: list[Series]
    lines: list[tuple[str, float]]
    """Name and height of every line drawn across."""


def curves(case: CaseSummary) -> Chart | None:
    """The curve of every series over the case's axis; None where arms are not points of curves."""
    points = [a for a in case.arms if a.series and a.x is not None and _finite(a)]
    xs = sorted({a.x for a in points if a.x is not None})
    if len(xs) < 2:
        return None
    values = [v for a in points for v in (a.mean, a.lo, a.hi)] + list(case.lines.values())
    x = axis(xs, log=spans(xs, 8), marks=xs if len(xs) <= 8 else ())
    log_y = spans(values, 20)
    y = axis([*values, 0.0] if not log_y and min(values) > 0 else values, log=log_y, most=5)
    named: dict[str, list[Dot]] = {}
    for a in sorted(points, key=lambda a: a.x or 0.0):
        dot = Dot(a, x.at(a.x or 0.0), *(round(100 - y.at(v), 2) for v in (a.mean, a.lo, a.hi)))
        named.setdefault(a.series, []).append(dot)
    ends = {name: dots[-1].y for name, dots in named.items()}
    stops = {name: _stops(dots, xs[-1]) for name, dots in named.items()}
    # Names stand at the right edge; a curve that stops has its name where it stops.
    labels = ends | _spread({name: y for name, y in ends.items() if not stops[name]})
    declared = list(dict.fromkeys(a.series for a in points))
    series = [
        Series(name, declared.index(name) % 6 + 1, named[name], labels[name], stops[name])
        for name in sorted(named, key=lambda name: (ends[name], name))
    ]
    return Chart(x, y, series, [(name, round(100 - y.at(value), 2)) for name, value in case.lines.items()])


def _finite(arm: ArmSummary) -> bool:
    return all(map(isfinite, (arm.mean, arm.lo, arm.hi)))


def _stops(dots: Sequence[Dot], last: float) -> str:
    end = dots[-1].arm.x
    return f"no result beyond {end:g}" if end is not None and end < last else ""


def _spread(wanted: dict[str, float]) -> dict[str, float]:
    """Labels moved apart as little as needed, downwards, then back up from the bottom."""
    names = sorted(wanted, key=lambda name: (wanted[name], name))
    placed: list[float] = []
    for name in names:
        placed.append(max(wanted[name], placed[-1] + _LABEL_GAP) if placed else wanted[name])
    limit = 100.0
    for i in range(len(placed) - 1, -1, -1):
        placed[i] = round(min(placed[i], limit), 2)
        limit = placed[i] - _LABEL_GAP
    return dict(zip(names, placed, strict=True))


@dataclass(frozen=True)
class Cloud:
    """A scatter: every dot's colour, place and words."""

    x: Axis
    y: Axis
    styles: dict[str, int]
    dots: list[tuple[int, float, float, str]]
    lines: list[tuple[str, float]]


def cloud(case: CaseSummary) -> Cloud | None:
    """The scatter of a case that has one with two points or more."""
    points = [p for p in case.scatter.points if isfinite(p[0]) and isfinite(p[1])] if case.scatter else []
    if case.scatter is None or len(points) < 2:
        return None
    xs = [x for x, *_ in points]
    ys = [*(y for _, y, *_ in points), *case.scatter.lines.values()]
    x, y = axis(xs, log=spans(xs, 50)), axis(ys, log=spans(ys, 50))
    styles = {kind: n % 6 + 1 for n, kind in enumerate(dict.fromkeys(kind for *_, kind, _ in points))}
    dots = [
        (styles[kind], x.at(a), round(100 - y.at(b), 2), f"{name}: {a:.3g}, {b:.3g}")
        for a, b, kind, name in points
    ]
    return Cloud(x, y, styles, dots, [(n, round(100 - y.at(at), 2)) for n, at in case.scatter.lines.items()])


@dataclass(frozen=True)
class Option:
    """An arm as a choice: what it costs and what it gives."""

    number: int
    arm: ArmSummary
    """On the gain metric."""
    price: ArmSummary
    """The same arm on the cost metric."""
    x: float
    y: float
    on_front: bool
    below: bool
    """Far worse than the rest, and drawn at the edge, so that the rest can be told apart."""


@dataclass(frozen=True)
class Tradeoff:
    """Gain per cost over the arms of one case."""

    gain: CaseSummary
    cost: CaseSummary
    x: Axis
    y: Axis
    options: list[Option]
    """Cheapest first; invalid arms are listed and never drawn."""

    @property
    def front(self) -> list[tuple[Option, Option]]:
        return list(pairwise(o for o in self.options if o.on_front))


def tradeoffs(cases: Sequence[CaseSummary]) -> list[Tradeoff]:
    """A case's first quality metric against each of its costs (CPU time, users a second), arm by arm."""
    first: dict[tuple[str, str], CaseSummary] = {}
    for case in cases:
        if case.kind == "quality" and not case.axis:
            first.setdefault((case.system, case.case), case)
    pairs = [(first.get((c.system, c.case)), c) for c in cases if c.kind in ("time", "virtual-time")]
    found = [_tradeoff(gain, cost) for gain, cost in pairs if gain]
    return [tradeoff for tradeoff in found if tradeoff]


def _tradeoff(gain: CaseSummary, cost: CaseSummary) -> Tradeoff | None:
    gains = {a.arm: a for a in gain.arms}
    both = [(gains[a.arm], a) for a in cost.arms if a.arm in gains and _finite(a) and _finite(gains[a.arm])]
    both.sort(key=lambda pair: (-pair[1].mean if cost.better == "higher" else pair[1].mean, pair[0].arm))
    drawn = [(g, c) for g, c in both if not g.invalid]
    if len(drawn) < 2:
        return None
    x = axis([c.mean for _, c in drawn], log=spans([c.mean for _, c in drawn], 8), most=5)
    reached = [g.mean for g, _ in drawn]
    y = axis(_without_outlier(reached) if gain.better == "higher" else reached, most=5)
    front = _front(drawn, gain.better, cost.better)
    options = [
        Option(i, g, c, x.at(c.mean), round(100 - y.at(g.mean), 2), g.arm in front, g.mean < y.lo)
        for i, (g, c) in enumerate(both, 1)
    ]
    return Tradeoff(gain, cost, x, y, options)


def _without_outlier(values: Sequence[float]) -> list[float]:
    """The values without the lowest, where that one alone takes more than two thirds of the range."""
    low, *rest = sorted(values)
    if len(rest) >= 3 and rest[-1] - rest[0] < (rest[-1] - low) / 3:
        return rest
    return list(values)


def _front(pairs: Sequence[tuple[ArmSummary, ArmSummary]], gain: str, cost: str) -> set[str]:
    """Arms that no other arm beats on both axes."""

    def oriented(pair: tuple[ArmSummary, ArmSummary]) -> tuple[float, float]:
        g, c = pair
        return (g.mean if gain == "higher" else -g.mean), (c.mean if cost == "higher" else -c.mean)

    def beaten(pair: tuple[ArmSummary, ArmSummary]) -> bool:
        mine = oriented(pair)
        rivals = [oriented(other) for other in pairs]
        return any(r[0] >= mine[0] and r[1] >= mine[1] and r != mine for r in rivals)

    return {pair[0].arm for pair in pairs if not beaten(pair)}
