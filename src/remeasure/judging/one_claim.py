"""Judges one claim by the records of its case: guards, then the number, then the word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from ..contracts import Case
from ..declared.claims import Claim
from ..declared.registry import System
from ..records.record import Environment, Record
from .guards import WITHOUT_A_METRIC, Subject, no_failure, run_guards
from .judged import GuardResult, Judgement, Verdict
from .kinds import assess, compared
from .rules import property_verdict
from .samples import Samples
from .selection import DETERMINISTIC, NOTHING, Chosen
from .summary import command, one, weakest

REMEMBERED = "remembered, not read"


@dataclass(frozen=True)
class Context:
    """What all claims of a report share."""

    profile: str
    chosen: Chosen
    environments: Mapping[str, Environment] = field(default_factory=dict)
    releasing: bool = False
    beyond: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Cases with seeds that their profile does not name, by (system, case), and which way these came in."""


def judge_claim(system: System, claim: Claim, context: Context) -> Judgement:
    """The claim's number, its interval and its word, with everything that leads back to the records."""
    case = system.cases.get(claim.case)
    said = _said(system, claim, case)
    if claim.testability == "not-testable":
        return replace(said, verdict=Verdict(word="not testable here", reason=claim.why))
    if claim.kind == "property":
        return _property(said, claim, context)
    blocks = context.chosen.blocks.get((system.name, claim.case), NOTHING)
    metric = case.metric(claim.metric).name if case else claim.metric
    lacking = _lacking(claim, case, metric, blocks.ok, context.profile)
    if not blocks.ok and blocks.failures:
        subject = Subject(blocks.failures, metric, (), claim.kind, blocks.failures)
        failed = replace(said, **_origin(claim, blocks.failures))
        return _worded(failed, claim, [no_failure(subject)], said.verdict)
    if lacking:
        return _worded(said, claim, [], Verdict(word="not run", reason=lacking))
    said = replace(said, **_origin(claim, blocks.ok))
    subject = Subject(
        blocks.ok,
        metric,
        compared(claim),
        claim.kind,
        blocks.failures,
        context.environments,
        context.releasing,
        deterministic=case is not None and DETERMINISTIC in case.tags,
    )
    guards = run_guards(subject)
    try:
        found = assess(claim, subject.samples)
    except ValueError as error:
        return _worded(said, claim, guards, Verdict(word="inconclusive", reason=f"No number: {error}."))
    interval = found.effect.interval
    number = replace(
        said,
        unit="×" if found.is_ratio and claim.kind != "ratio" else said.unit,
        claimed=found.claimed,
        estimate=interval.estimate,
        lo=interval.lo if interval.kind != "none" else None,
        hi=interval.hi if interval.kind != "none" else None,
        n=interval.n,
        per_seed=list(found.effect.per_seed),
        spread=interval.kind,
        rounds=found.effect.rounds,
        units=found.effect.units,
        per=subject.meta.per,
        design_effect=interval.design_effect,
        detectable=interval.detectable(),
        p=found.p,
        beyond=context.beyond.get((system.name, claim.case), ""),
        how=found.effect.how,
        headroom=_headroom(subject.samples, claim),
    )
    return _worded(number, claim, guards, found.verdict)


def _said(system: System, claim: Claim, case: Case | None) -> Judgement:
    """What is known before anything is measured."""
    remembered = claim.unverified and claim.by == "paper"
    metric = case.metric(claim.metric) if case else None
    sources = {"paper": system.claims.paper, "other": claim.source, "remeasure": "remeasure"}
    return Judgement(
        system=system.name,
        id=claim.id,
        by="other" if remembered else claim.by,
        source=REMEMBERED if remembered else sources[claim.by],
        statement=claim.statement,
        where=claim.where,
        kind=claim.kind,
        metric=metric.name if metric else "",
        unit=metric.unit if metric else "",
        better=metric.better if metric else "higher",
        claimed=claim.value,
        verdict=Verdict(word="not run"),
        evidence="" if claim.testability == "not-testable" else claim.testability,
        case=claim.case,
        treatment=claim.treatment or (claim.order[0] if claim.order else ""),
        baseline=claim.baseline or (claim.order[-1] if claim.order else ""),
        audit=claim.audit,
    )


def _lacking(claim: Claim, case: Case | None, metric: str, records: Sequence[Record], profile: str) -> str:
    """Why there are no samples for the claim, or nothing."""
    if case is None or profile not in case.profiles:
        return f"The case {claim.case} is no part of profile {profile}."
    runs = case.profiles[profile].arms
    for arm in compared(claim):
        if runs is not None and arm not in runs:
            return f"The arm {arm} does not run in profile {profile}."
    if not records:
        return "Nothing is measured for it yet."
    for record in records:
        if metric not in record.metrics:
            return f"The records have no {metric}; run the case again."
        for arm in compared(claim):
            if arm not in record.arms:
                return f"The records have no arm {arm}; run the case again."
    return ""


def _origin(claim: Claim, records: Sequence[Record]) -> dict[str, Any]:
    """The way back from the number to what made it."""
    data = [record.data for record in records if record.data]
    return {
        "seeds": [record.seed for record in records],
        "evidence": weakest((claim.testability, *(record.evidence for record in records))),
        "data": one(used.kind for used in data),
        "data_label": one(used.label for used in data),
        "data_sha256": one(used.sha256 for used in data),
        "command": command(records),
        "commit": one(record.provenance.commit for record in records),
        "dirty": any(record.provenance.dirty for record in records),
        "environment": one(record.provenance.environment for record in records),
        "records": [record.key for record in records],
    }


def _worded(judgement: Judgement, claim: Claim, guards: list[GuardResult], verdict: Verdict) -> Judgement:
    """The word that stands: what cannot be judged first, then the guards, then what the numbers say."""
    failed = [guard for guard in guards if not guard.ok]
    simulated = "simulated" in judgement.data
    said = []
    if claim.unverified:
        said.append("Remembered, not read, so it is not printed as the paper's.")
    if claim.calibrated and verdict.word != "not run":
        verdict = Verdict(word="calibrated", reason="An input of the model that computes it.")
    elif failed:
        verdict = Verdict(
            word="invalid run", reason="; ".join(f"{guard.name}: {guard.detail}" for guard in failed) + "."
        )
    elif verdict.word != "not run":
        if claim.unverified:
            verdict = Verdict(word="shown, not judged")
        elif simulated and claim.about == "data":
            verdict = Verdict(word="shown, not judged", reason="It is about data, and these are simulated.")
        else:
            said += ["Computed by a model."] if judgement.evidence == "modelled" else []
            said += ["On simulated data."] if simulated else []
    reason = " ".join(part for part in (verdict.reason, *said) if part)
    return replace(judgement, guards=guards, verdict=replace(verdict, reason=reason))


def _property(said: Judgement, claim: Claim, context: Context) -> Judgement:
    """A named test decides; systems that ran it have put its outcome into a record's extras."""
    records = [
        record
        for (system, _), blocks in context.chosen.blocks.items()
        if system == said.system
        for record in blocks.ok
        if claim.test in _outcomes(record)
    ]
    if not records:
        reason = f"Its test is {claim.test}; no record holds its outcome."
        return _worded(said, claim, [], Verdict(word="not run", reason=reason))
    held = all(_outcomes(record)[claim.test] for record in records)
    cases = {record.case for record in records}
    failures = [
        failed
        for (system, name), blocks in context.chosen.blocks.items()
        if system == said.system and name in cases
        for failed in blocks.failures
    ]
    subject = Subject(
        tuple(records), "", (), claim.kind, tuple(failures), context.environments, context.releasing
    )
    guards = run_guards(subject, WITHOUT_A_METRIC)
    found = replace(
        said, n=len(records), spread="none", how=f"The test {claim.test}.", **_origin(claim, records)
    )
    return _worded(found, claim, guards, property_verdict(held))


def _outcomes(record: Record) -> dict[str, bool]:
    """Test → whether it passed, from `properties` at the top of the extras or in those of an arm."""
    found: dict[str, bool] = {}
    for extras in (record.extras, *record.extras.values()):
        properties = extras.get("properties") if isinstance(extras, dict) else None
        if isinstance(properties, dict):
            for test, outcome in properties.items():
                found[test] = found.get(test, True) and outcome in (True, "passed")
    return found


def _headroom(samples: Samples, claim: Claim) -> dict[str, Any]:
    """What both arms reach on their own, and what the system says is left above them."""
    if samples.meta.kind != "quality" or not claim.baseline:
        return {}
    arms = (claim.baseline, claim.treatment)
    reached = {f"{arm} reaches": samples.level(arm).interval.estimate for arm in arms}
    for record in samples.records:
        extras = record.extras.get(claim.treatment)
        left = extras.get("headroom") if isinstance(extras, dict) else None
        if isinstance(left, dict):
            reached |= left
    return reached
