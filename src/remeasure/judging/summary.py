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
from .estimates import Array, of_seeds
from .guards import Subject, control, run_guards
from .intervals import Interval, alone
from .judged import ArmSummary, CaseSummary, FailureRow, FigureRow, Noise, Scatter
from .samples import Effect, Samples
from .selection import DETERMINISTIC, Blocks

EVIDENCE = ("measured", "scaled", "modelled")
"""From the strongest to the weakest."""


def case_summaries(case: Case, records: Sequence[Record]) -> list[CaseSummary]:
    """One row a metric; arms in declared order."""
    newest = records[-1]
    rows: list[CaseSummary] = []
    for name, meta in newest.metrics.items():
        samples = Samples(_with(name, records), name, DETERMINISTIC in case.tags)
        arms = [arm for arm in samples.arms if all(np.isfinite(block).all() for block in samples.of(arm))]
        if not arms:
            continue
        levels = {arm: _level(samples, arm) for arm in arms}
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
                        spread=levels[arm].interval.kind,
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


def _with(metric: str, records: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(record for record in records if metric in record.metrics)


def _scatter(records: Sequence[Record]) -> Scatter | None:
    """The newest that an arm returned; one that is not what it should be is not drawn."""
    for record in reversed(records):
        for extras in record.extras.values():
            if isinstance(extras, dict) and "scatter" in extras:
                with suppress(msgspec.ValidationError):
                    return msgspec.convert(extras["scatter"], Scatter)
    return None


def _level(samples: Samples, arm: str) -> Effect:
    """The arm's number; where its samples allow no estimate, their plain mean without an interval."""
    try:
        return samples.level(arm)
    except ValueError:
        values = np.concatenate(samples.of(arm))
        return Effect(alone(float(values.mean()), values.size), (), "Mean.")


def noise_rows(records: Sequence[Record]) -> list[Noise]:
    """The A/A control of every timed metric that has a twin which can be paired."""
    newest = records[-1]
    rows = []
    for name, meta in newest.metrics.items():
        try:
            interval = Samples(_with(name, records), name).noise()
        except ValueError:
            continue  # the claims that rest on it are invalid, and say so
        if interval:
            result = control(interval, meta.clock)
            rows.append(
                Noise(
                    system=newest.system,
                    case=newest.case,
                    clock=meta.clock,
                    ratio=interval.estimate,
                    lo=interval.lo,
                    hi=interval.hi,
                    n=interval.n,
                    ok=result.ok,
                    detail=result.detail,
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
    system: str, figure: Figure, case: Case, blocks: Blocks, environments: Mapping[str, Environment]
) -> FigureRow | None:
    """The figure, or None where its samples are missing or cannot be divided."""
    metric = figure.metric or next(iter(blocks.ok[0].metrics), "")
    if any(metric not in record.metrics for record in blocks.ok):
        return None
    deterministic = DETERMINISTIC in case.tags
    samples = Samples(blocks.ok, metric, deterministic, middle=figure.statistic == "median")
    try:
        interval = _figure(samples, figure)
    except (ValueError, ZeroDivisionError):
        return None
    if not interval.finite:
        return None
    arms = (figure.arm, figure.baseline) if figure.baseline else (figure.arm,)
    subject = Subject(
        blocks.ok, metric, arms, "value", blocks.failures, environments, deterministic=deterministic
    )
    failed = next((guard for guard in run_guards(subject) if not guard.ok), None)
    plain = not figure.baseline and not figure.invert
    unit = figure.unit or (samples.meta.unit if plain else "")
    interval = interval.scaled(figure.scale)
    value = interval.estimate
    ranged = interval.kind != "none"
    target = _target(figure, unit)
    return FigureRow(
        system=system,
        name=figure.name,
        value=value,
        unit=unit,
        lo=interval.lo if ranged else None,
        hi=interval.hi if ranged else None,
        spread=interval.kind,
        n=interval.n,
        target=target,
        met=_met(figure, value) if target and not failed else None,
        evidence=weakest(record.evidence for record in blocks.ok),
        data=one(record.data.kind for record in blocks.ok if record.data),
        data_sha256=one(record.data.sha256 for record in blocks.ok if record.data),
        invalid=f"{failed.name}: {failed.detail}" if failed else "",
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
    """Of one arm, or of the ratio of two; raises ValueError or ZeroDivisionError where there is none."""
    if figure.statistic in ("max", "sum"):
        return _gathered(samples, figure)
    if figure.baseline:
        over, under = (figure.baseline, figure.arm) if figure.invert else (figure.arm, figure.baseline)
        return samples.quotient(over, under).interval
    interval = samples.level(figure.arm).interval
    return interval.inverted() if figure.invert else interval


def _gathered(samples: Samples, figure: Figure) -> Interval:
    """The largest of all samples, or the sum of each block's."""
    blocks = samples.of(figure.arm)
    if figure.baseline:
        blocks = [_divided(a, b) for a, b in samples.pairs(figure.arm, figure.baseline)]
    if figure.invert:
        blocks = [_divided(np.ones_like(block), block) for block in blocks]
    if figure.statistic == "sum":
        sums = np.array([float(block.sum()) for block in blocks])
        return alone(float(sums.mean()), len(sums)) if samples.deterministic else of_seeds(sums)
    return alone(float(np.concatenate(blocks).max()), sum(block.size for block in blocks))


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
