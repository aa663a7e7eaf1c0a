"""Commands that look and measure nothing: `list`, `plan`, `claims`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from . import console, options
from .places import places
from .selected import Selection, selecting

if TYPE_CHECKING:
    from ..declared.registry import Registry, System

What = Literal["systems", "cases", "arms", "datasets"]


def list_(
    what: Annotated[What, typer.Argument(help="systems, cases, arms or datasets")] = "systems",
    system: options.Systems = None,
    tag: options.Tags = None,
    json: options.Json = False,
) -> None:
    """List systems, cases, arms or data sets."""
    from ..declared.registry import registry

    found = registry()
    systems = [found.system(name) for name in system] if system else list(found.systems.values())
    rows = _rows(what, systems, found, set(tag or ()))
    if json:
        console.as_json(rows)
    elif rows:
        console.table(tuple(rows[0]), (tuple(console.cell(value) for value in row.values()) for row in rows))


@selecting
def plan(
    selected: Selection,
    results: options.Results = None,
    json: options.Json = False,
) -> None:
    """What `run` would run. Which blocks are finished, and how long the others took last time."""
    from ..declared.registry import registry
    from ..records.store import Store

    planned = selected.plan(registry(), Store(places(results).results))
    if left_out := selected.left_out(registry()):
        console.note(left_out)
    if json:
        rows = [
            {
                "system": item.block.system,
                "case": item.block.case,
                "seed": item.block.seed,
                "profile": item.block.profile,
                "rounds": item.block.rounds,
                "key": item.block.key,
                "cached": item.cached,
                "last_seconds": item.last_seconds,
                "timed": item.timed,
            }
            for item in planned
        ]
        console.as_json(rows)
        return
    console.table(
        ("case", "seed", "rounds", "state", "last time", "clock"),
        (
            (
                f"{item.block.system}/{item.block.case}",
                str(item.block.seed),
                str(item.block.rounds),
                "finished" if item.cached else "to run",
                "–" if item.last_seconds is None else f"{item.last_seconds:.1f} s",
                "timed, alone" if item.timed else "",
            )
            for item in planned
        ),
        right=(1, 2, 4),
    )
    waiting = [item for item in planned if not item.cached]
    known = sum(item.last_seconds or 0 for item in waiting)
    unknown = sum(item.last_seconds is None for item in waiting)
    console.note(
        f"{len(waiting)} of {len(planned)} blocks to run; about {known:.0f} s by last time"
        + (f", {unknown} never run here." if unknown else ".")
    )


def claims(
    system: options.Systems = None,
    json: options.Json = False,
) -> None:
    """What the papers claim and how it is tested."""
    from ..declared.registry import registry

    found = registry()
    systems = [found.system(name) for name in system] if system else list(found.systems.values())
    declared = [(member, claim) for member in systems for claim in member.claims.claim]
    if json:
        import msgspec

        console.as_json([{"system": member.name, **msgspec.to_builtins(claim)} for member, claim in declared])
        return
    console.table(
        ("claim", "says", "kind", "claimed", "testability", "where", "statement"),
        (
            (
                f"{member.name}/{claim.id}",
                claim.source or claim.by,
                claim.kind,
                console.number(claim.value if claim.value is not None else claim.margin),
                claim.testability,
                claim.where,
                ("(not checked against the paper) " if claim.unverified else "") + claim.statement,
            )
            for member, claim in declared
        ),
        right=(3,),
    )


def _rows(what: What, systems: list[System], found: Registry, tags: set[str]) -> list[dict[str, Any]]:
    """One mapping a line, the same keys in each."""
    if what == "datasets":
        return [
            {"name": card.name, "title": card.title, "licence": card.licence}
            for card in found.datasets.values()
        ]
    cases = [
        case for system in systems for case in system.cases.values() if not tags or tags & set(case.tags)
    ]
    if what == "systems":
        return [
            {
                "name": system.name,
                "title": system.claims.title,
                "cases": sum(case.system == system.name for case in cases),
                "claims": len(system.claims.claim),
            }
            for system in systems
        ]
    if what == "cases":
        return [
            {
                "case": case.id,
                "data": case.dataset,
                "metrics": [metric.name for metric in case.metrics],
                "arms": len(case.arms),
                "profiles": list(case.profiles),
                "tags": list(case.tags),
                "question": case.question,
            }
            for case in cases
        ]
    return [
        {"case": case.id, "arm": arm.name, "role": arm.role, "config": console.config(arm.config)}
        for case in cases
        for arm in case.arms
    ]
