"""Do a system's claims and figures name cases, arms and metrics that exist, and may they use those arms?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..contracts import Case
from ..errors import UserError
from .claims import Claim, Claims, Figure, place

RATIO_UNIT = "×"
"""Unit of a metric that is a ratio already, above 1 where it favours the treatment."""


def check_claims(claims: Claims, cases: Mapping[str, Case], path: Path) -> None:
    """Raise UserError for the first claim or figure that cannot be judged with these cases."""
    for claim in claims.claim:
        if problem := claim_problem(claim, cases):
            raise UserError(f"{place(path, claim.id)}: claim {claim.id} {problem}.")
    for case in cases.values():
        if problem := _precision_problem(case, claims):
            raise UserError(f"case {case.id} {problem}.")
    for figure in claims.figure:
        if problem := _figure_problem(figure, cases):
            raise UserError(f"{place(path, figure.name, key='name')}: figure {figure.name} {problem}.")


def claim_problem(claim: Claim, cases: Mapping[str, Case]) -> str:
    """What is wrong with the claim, as the rest of a sentence; empty if nothing is."""
    if not claim.case:
        return ""
    named = tuple(name for name in (claim.treatment, claim.baseline, *claim.order) if name)
    if problem := _names_problem(claim.case, claim.metric, named, cases):
        return problem
    # A negative control may show that the measure can tell; it may never stand for what a paper proposes.
    invalid = [name for name in named if cases[claim.case].arm(name).invalid]
    if invalid and claim.by != "remeasure":
        return f'uses arm {invalid[0]}, which is a control and no honest result; only by = "remeasure" may'
    if claim.testability != "not-testable":
        if claim.kind == "difference" and not (claim.treatment and claim.baseline):
            return "needs a treatment and a baseline"
        if claim.kind == "ratio" and not claim.baseline and _unit(claim, cases) != RATIO_UNIT:
            return f"needs a baseline, or a metric that is itself a ratio (unit {RATIO_UNIT})"
        if claim.kind in ("ratio", "value", "bound") and not claim.treatment:
            return "needs a treatment"
        if claim.kind == "ordering" and len(claim.order) < 2:
            return "needs an order of at least two arms"
        metric = cases[claim.case].metric(claim.metric)
        if metric.kind == "virtual-time" and claim.testability == "measured":
            return f"is measured, but {metric.name} is computed by a simulator; say modelled"
        if claim.kind == "value" and metric.judges_units and not claim.over:
            return f'is a value over {metric.per}s; say over = "units" or over = "seeds"'
    return ""


def _precision_problem(case: Case, claims: Claims) -> str:
    """A precision that nothing asks for would only cost time."""
    compared = {case.metric(claim.metric).name for claim in claims.claim if claim.case == case.name}
    known = {metric.name for metric in case.metrics}
    for profile, at in case.profiles.items():
        for name in at.precision:
            if name not in known:
                return f"wants a precision of {name} in profile {profile}, which is no metric of it"
            if name not in compared:
                return f"wants a precision of {name} in profile {profile}, which no claim compares"
    return ""


def _unit(claim: Claim, cases: Mapping[str, Case]) -> str:
    return cases[claim.case].metric(claim.metric).unit


def _figure_problem(figure: Figure, cases: Mapping[str, Case]) -> str:
    named = tuple(name for name in (figure.arm, figure.baseline) if name)
    return _names_problem(figure.case, figure.metric, named, cases)


def _names_problem(case: str, metric: str, arms: tuple[str, ...], cases: Mapping[str, Case]) -> str:
    if case not in cases:
        return f"names the case {case}, which does not exist (known: {', '.join(cases) or 'none'})"
    known = [arm.name for arm in cases[case].arms]
    for name in arms:
        if name not in known:
            return f"names the arm {name}, which case {case} does not have (known: {', '.join(known)})"
    metrics = [known_metric.name for known_metric in cases[case].metrics]
    if metric and metric not in metrics:
        return f"names the metric {metric}, which case {case} does not have (known: {', '.join(metrics)})"
    return ""
