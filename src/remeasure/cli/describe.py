"""`describe`: everything declared about one system, case, claim or data set."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import UserError
from . import console, options

if TYPE_CHECKING:
    from ..contracts import Case
    from ..declared.cards import DataCard
    from ..declared.registry import Registry, System


def describe(
    name: Annotated[
        str, typer.Argument(help="A system, a data set, a case (SYSTEM/CASE) or a claim (SYSTEM/CLAIM).")
    ],
    json: options.Json = False,
) -> None:
    """Everything declared about one thing. A system, data set, case or claim."""
    from ..declared.registry import registry

    described = _describe(registry(), name)
    if json:
        console.as_json(described)
    else:
        _print_tree(described)


def _describe(found: Registry, name: str) -> dict[str, Any]:
    if name in found.systems:
        return _system(found.systems[name])
    if name in found.datasets:
        return _dataset(found.datasets[name])
    try:
        return _case(found.case(name))
    except UserError as no_case:
        try:
            system, claim = found.claim(name)
        except UserError:
            raise no_case from None
    import msgspec

    return {"claim": claim.id, "system": system.name, **msgspec.to_builtins(claim)}


def _system(system: System) -> dict[str, Any]:
    declared = system.claims
    return {
        "system": system.name,
        "title": declared.title,
        "paper": declared.paper,
        "link": declared.link,
        "cases": {case.name: case.question for case in system.cases.values()},
        "claims": {claim.id: f"{claim.statement} ({claim.where})" for claim in declared.claim},
        "figures": [figure.name for figure in declared.figure],
    }


def _dataset(card: DataCard) -> dict[str, Any]:
    return {
        "dataset": card.name,
        "title": card.title,
        "what": card.what,
        "canonical": card.canonical,
        "licence": card.licence,
        "citation": card.citation,
        "notice": card.notice,
        "files": [file.path for file in card.files],
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "case": case.id,
        "question": case.question,
        "data": {case.dataset: console.config(case.request)},
        "metrics": [asdict(metric) for metric in case.metrics],
        "arms": {
            arm.name: {
                "role": arm.role,
                "config": console.config(arm.config),
                **(
                    {"tuned by": f"{arm.tuning.trials} trials on {arm.tuning.judged_on}"}
                    if arm.tuning
                    else {}
                ),
                **({"no verdict because": arm.invalid} if arm.invalid else {}),
            }
            for arm in case.arms
        },
        "profiles": {
            profile: {
                "seeds": list(at.seeds),
                "rounds": at.rounds,
                "set": dict(at.set),
                "evidence": at.evidence,
                **({"precision": dict(at.precision)} if at.precision else {}),
            }
            for profile, at in case.profiles.items()
        },
        "tags": list(case.tags),
    }


def _print_tree(value: dict[str, Any], indent: str = "") -> None:
    """Nested mappings as indented lines."""
    for key, inner in value.items():
        deep = isinstance(inner, dict) and any(isinstance(part, (dict, str)) for part in inner.values())
        if deep:
            typer.echo(f"{indent}{key}:")
            _print_tree(inner, indent + "  ")
        elif isinstance(inner, (list, tuple)) and inner and isinstance(inner[0], dict):
            typer.echo(f"{indent}{key}:")
            for part in inner:
                facts = {name: fact for name, fact in part.items() if fact not in ("", None)}
                typer.echo(f"{indent}  {console.cell(facts)}")
        elif inner is not False and inner not in ("", None, [], {}, ()):
            typer.echo(f"{indent}{key}: {console.cell(inner)}")
