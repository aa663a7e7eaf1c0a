"""What a report shows beside the claims: every arm's number, A/A controls, named figures, failures."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

import msgspec
import numpy as np

from ..contracts import Case
from ..declared.claims import Figure
from ..records.record import Environment, Record
from . import stats
from .guards import Subject, noise_allowed, run_guards
from .judged import ArmSummary, CaseSummary, FailureRow, FigureRow, Noise, Scatter
from .samples import DRAW, Samples
from .selection import Blocks
from .stats import Array, Interval

EVIDENCE = ("measured", "scaled", "modelled")
"""From the strongest to the weakest."""


def case_summaries(case: Case, records: Sequence[Record]) -> list[CaseSummary]:
    """One row a metric; arms in declared order."""
    newest = records[-1]
    rows: list[CaseSummary] = []
    for name, meta in newest.metrics.items():
        samples = Samples(tuple(record for record in records if name in record.metrics), name)
        arms = [arm for arm in samples.arms if all(np.isfinite(block).all() for block in samples.of(arm))]
        if not arms:
            continue
        levels = samples.levels(arms)
        declared = {arm: record.arms[arm] for record in records for arm in record.arms}
        rows.append(
            CaseSummary(
                system=newest.system,
                case=newest.case,
                question=case.question,
                metric=name,
                unit=meta.unit,
                better=meta.better,
                kind=meta.kind,
                per=meta.per,
                evidence=weakest(record.evidence for record in records),
                data=one(record.data.kind for record in records if record.data),
                data_label=one(record.data.label for record in records if record.data),
                axis=case.axis,
                lines=dict(case.lines) if not rows else {},
                scatter=_scatter(records) if not rows else None,
                arms=[
                    ArmSummary(
                        arm=arm,
                        role=declared[arm].role,
                        invalid=declared[arm].invalid,
                        mean=levels[arm].interval.estimate,
                        lo=levels[arm].interval.lo,
                        hi=levels[arm].interval.hi,
                        n=levels[arm].interval.n,
                        per_seed=list(levels[arm].per_seed),
                        series=declared[arm].series,
                        x=declared[arm].x,
                        tuning=declared[arm].tuning,
                        config=declared[arm].config,
                    )
                    for arm in arms
                ],
                seeds=[record.seed for record in records],
                commit=one(record.provenance.commit for record in records),
                environment=one(record.provenance.environment for record in records),
                command=command(records),
            )
        )
    return rows


def _scatter(records: Sequence[Record]) -> Scatter | None:
    """The newest that an arm returned; one that is not what it should be is not drawn."""
    for record in reversed(records):
        for extras in record.extras.values():
            if isinstance(extras, dict) and "scatter" in extras:
                with suppress(msgspec.ValidationError):
                    return msgspec.convert(extras["scatter"], Scatter)
    return None


def noise_rows(records: Sequence[Record]) -> list[Noise]:
    """The A/A control of every timed metric that has a twin which can be paired."""
    rows = []
    for name, meta in records[-1].metrics.items():
        try:
            interval = Samples(tuple(records), name).noise()
        except ValueError:
            continue  # the claims that rest on it are invalid, and say so
        if interval:
            rows.append(
                Noise(
                    system=records[-1].system,
                    case=records[-1].case,
                    clock=meta.clock,
                    ratio=interval.estimate,
                    lo=interval.lo,
                    hi=interval.hi,
                    n=interval.n,
                    ok=noise_allowed(interval.lo, interval.hi, meta.clock),
                )
            )
    return rows


def failure_rows(records: Iterable[Record]) -> list[FailureRow]:
    return [
        FailureRow(
            system=record.system,
            case=record.case,
            seed=record.seed,
            kind=record.failure.kind,
            message=record.failure.message,
            log_tail=record.failure.log_tail,
        )
        for record in records
        if record.failure
    ]


def figure_row(
    system: str, figure: Figure, blocks: Blocks, environments: Mapping[str, Environment]
) -> FigureRow | None:
    """The figure, or None where its samples are missing or cannot be divided."""
    metric = figure.metric or next(iter(blocks.ok[0].metrics), "")
    if any(metric not in record.metrics for record in blocks.ok):
        return None
    samples = Samples(blocks.ok, metric)
    try:
        interval = _figure(samples, figure)
    except (ValueError, ZeroDivisionError):
        return None
    if not interval.finite:
        return None
    arms = (figure.arm, figure.baseline) if figure.baseline else (figure.arm,)
    subject = Subject(blocks.ok, metric, arms, "value", blocks.failures, environments)
    failed = [guard for guard in run_guards(subject) if not guard.ok]
    plain = not figure.baseline and not figure.invert
    unit = figure.unit or (samples.meta.unit if plain else "")
    lo, hi = sorted((interval.lo * figure.scale, interval.hi * figure.scale))
    value = interval.estimate * figure.scale
    ranged = figure.statistic != "max" and (interval.n > 1 or samples.meta.kind == "count")
    target = _target(figure, unit)
    return FigureRow(
        system=system,
        name=figure.name,
        value=value,
        unit=unit,
        lo=lo if ranged else None,
        hi=hi if ranged else None,
        n=interval.n,
        target=f"{target} (not judged: {failed[0].detail})" if target and failed else target,
        met=_met(figure, value) if target and not failed else None,
        evidence=weakest(record.evidence for record in blocks.ok),
        data=one(record.data.kind for record in blocks.ok if record.data),
        case=figure.case,
        arm=figure.arm,
    )


def command(records: Sequence[Record]) -> str:
    """What to say to measure these blocks again; a folder of one's own data stays the placeholder DIR."""
    first = records[0]
    words = ["remeasure", "run", "--system", first.system, "--case", first.case]
    for record in records:
        words += ["--seed", str(record.seed)]
    words += ["--profile", first.profile]
    for field, value in first.overrides.items():
        words += ["--set", f"{field}={value}"]
    own = first.data is not None and first.data.origin == "directory"
    return shlex.join(words) + (" --set data=DIR" if own else "")


def one(values: Iterable[str]) -> str:
    """The value that all share; several are named side by side, so that nobody takes them for one."""
    return ", ".join(dict.fromkeys(value for value in values if value))


def weakest(evidence: Iterable[str]) -> str:
    """The weakest kind of evidence: a number is no better than the least of what it rests on."""
    return max(evidence, key=EVIDENCE.index, default="")


def _figure(samples: Samples, figure: Figure) -> Interval:
    if samples.meta.per == DRAW and figure.statistic != "max":
        return _drawn(samples, figure)
    if figure.baseline:
        over, under = (figure.baseline, figure.arm) if figure.invert else (figure.arm, figure.baseline)
        pairs = samples.pairs(over, under)
        if figure.statistic == "max":
            return _max(np.concatenate([_divided(a, b) for a, b in pairs]))
        ours, theirs = samples.joined([a for a, _ in pairs]), samples.joined([b for _, b in pairs])
        if figure.statistic == "median":
            return stats.ratio_interval(ours, theirs, "higher")
        return stats.mean_ratio_interval(ours, theirs, "higher")
    blocks = samples.of(figure.arm)
    if figure.invert:
        blocks = [_divided(np.ones_like(block), block) for block in blocks]
    match figure.statistic:
        case "max":
            return _max(np.concatenate(blocks))
        case "sum":
            return stats.mean_interval([float(block.sum()) for block in blocks])
        case "median":
            return stats.percentile_interval(samples.joined(blocks))
        case "mean":
            return stats.mean_interval(samples.joined(blocks))


def _drawn(samples: Samples, figure: Figure) -> Interval:
    """Over draws of a model's uncertain inputs: their median and spread, as its claims are judged by."""
    blocks = samples.of(figure.arm)
    if figure.baseline:
        blocks = [_divided(a, b) for a, b in samples.pairs(figure.arm, figure.baseline)]
    if figure.invert:
        blocks = [_divided(np.ones_like(block), block) for block in blocks]
    return stats.draws_interval(np.concatenate(blocks))


def _max(values: Array) -> Interval:
    largest = float(values.max())
    return Interval(largest, largest, largest, values.size)


def _divided(over: Array, under: Array) -> Array:
    if (under == 0).any():
        raise ZeroDivisionError
    divided: Array = over / under
    return divided


def _target(figure: Figure, unit: str) -> str:
    bounds = []
    if figure.at_least is not None:
        bounds.append(f"≥ {figure.at_least:g}")
    if figure.at_most is not None:
        bounds.append(f"≤ {figure.at_most:g}")
    return " and ".join(f"{bound} {unit}".strip() for bound in bounds)


def _met(figure: Figure, value: float) -> bool:
    return (figure.at_least is None or value >= figure.at_least) and (
        figure.at_most is None or value <= figure.at_most
    )
