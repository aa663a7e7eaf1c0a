"""Gathers everything a report shows. The same records give the same report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ..contracts import Case
from ..declared.registry import Registry, System
from ..records.provenance import fingerprint as code_fingerprint
from ..records.record import Environment, Record, content_digest
from .coverage_table import read_table
from .judged import CaseSummary, FigureRow, Noise, Report, SystemRow
from .multiplicity import chance
from .notes import notes
from .one_claim import Context, judge_claim
from .precision import too_wide
from .run_cost import run_figures
from .selection import NOTHING, Chosen, Fingerprint, Selection, choose
from .summary import case_summaries, failure_rows, figure_row, noise_rows, one
from .vanished import vanished

REPORT_SCHEMA = 1
BY = ("paper", "other", "remeasure")
"""Whose claims come first."""


def build_report(
    registry: Registry,
    records: Iterable[Record],
    environments: Mapping[str, Environment],
    profile: str,
    release: Mapping[str, Any] | None = None,
    selection: Mapping[str, Any] | Selection | None = None,
    *,
    releasing: bool = False,
    fingerprint: Fingerprint | None = None,
) -> Report:
    """Everything that a report of `profile` shows.

    release: the committed `latest.json`, to stand beside. selection: what was asked for; None is everything.
    releasing: what an uncommitted tree measured is invalid. fingerprint: hash of a case's code as it is now,
    asked only where records of several states of the code exist.
    """
    wanted = selection if isinstance(selection, Selection) else Selection.of(selection)
    systems = [system for name, system in registry.systems.items() if wanted.wants_system(name)]
    cases = [
        case
        for system in systems
        for case in system.cases.values()
        if wanted.wants_case(case, system.claims.claim)
    ]
    asked = {(case.system, case.name) for case in cases}
    chosen = choose(
        (record for record in records if (record.system, record.case) in asked),
        profile,
        wanted,
        fingerprint or (lambda system, case: _fingerprint(registry, system, case)),
    )
    beyond = {(case.system, case.name): _beyond(case, profile, wanted, chosen) for case in cases}
    context = Context(profile, chosen, environments, releasing, beyond)
    claims = [
        judge_claim(system, claim, context)
        for system in systems
        for claim in system.claims.claim
        if wanted.wants_claim(system.name, claim, system.cases.get(claim.case))
    ]
    claims.sort(key=lambda judgement: BY.index(judgement.by))
    summaries: list[CaseSummary] = []
    controls: list[Noise] = []
    for case in cases:
        if ok := chosen.blocks.get((case.system, case.name), NOTHING).ok:
            summaries += case_summaries(case, ok)
            controls += noise_rows(ok)
    used = [record for blocks in chosen.blocks.values() for record in blocks.all]
    figures = [
        row
        for system in systems
        for row in (*_figures(system, context), *run_figures(system.name, profile, used))
    ]
    names = {system.name for system in systems} if wanted.systems else None
    rows = [_system_row(system, [r for r in used if r.system == system.name]) for system in systems]
    shas = {record.provenance.environment for record in used}
    return Report(
        schema=REPORT_SCHEMA,
        profile=profile,
        generated_from=contents(rows),
        date=max((record.provenance.started for record in used), default="")[:10],
        systems=rows,
        environments={
            sha: msgspec.to_builtins(environments[sha]) for sha in sorted(shas & set(environments))
        },
        claims=claims,
        cases=summaries,
        noise=controls,
        failures=failure_rows(used),
        figures=figures,
        notes=notes(chosen, cases, profile, _too_wide(registry, cases, chosen, profile), beyond),
        release=None if release is None else dict(release),
        chance=chance(claims),
        coverage=read_table(),
        vanished=[] if release is None or wanted.partial else vanished(release, claims, figures, names),
    )


def contents(systems: Iterable[SystemRow]) -> str:
    """Hash of all records behind a report."""
    return _hash(sorted({row.generated_from for row in systems if row.generated_from}))


def _figures(system: System, context: Context) -> list[FigureRow]:
    rows = []
    for figure in system.claims.figure:
        blocks = context.chosen.blocks.get((system.name, figure.case), NOTHING)
        case = system.cases[figure.case]
        row = figure_row(system.name, figure, case, blocks, context.environments) if blocks.ok else None
        if row:
            rows.append(row)
    return rows


def _too_wide(
    registry: Registry, cases: Iterable[Case], chosen: Chosen, profile: str
) -> dict[str, list[str]]:
    """Case → what is wider than it wants in this profile, of the cases that want anything."""
    found = {}
    for case in cases:
        ok = chosen.blocks.get((case.system, case.name), NOTHING).ok
        if ok and profile in case.profiles and case.profiles[profile].precision:
            claims = registry.systems[case.system].claims.claim
            found[case.id] = list(too_wide(case, claims, ok, profile))
    return found


def _beyond(case: Case, profile: str, wanted: Selection, chosen: Chosen) -> str:
    """Which way seeds that the profile does not name came in; empty where there are none."""
    named = set(case.profiles[profile].seeds) if profile in case.profiles else set()
    blocks = chosen.blocks.get((case.system, case.name), NOTHING)
    if all(record.seed in named for record in blocks.all):
        return ""
    return "--seed" if wanted.seeds is not None else "precision"


def _system_row(system: System, records: Sequence[Record]) -> SystemRow:
    """Several commits stand side by side, an uncommitted tree is marked: neither may be released."""
    commits = {r.provenance.commit + ("+dirty" if r.provenance.dirty else "") for r in records}
    fingerprints = sorted({r.provenance.fingerprint for r in records})
    return SystemRow(
        name=system.name,
        title=system.claims.title,
        paper=system.claims.paper,
        commit=one(sorted(commits)),
        # Systems whose cases use several data sets have a fingerprint for each.
        fingerprint=fingerprints[0]
        if len(fingerprints) == 1
        else _hash(fingerprints)
        if fingerprints
        else "",
        date=max((r.provenance.started for r in records), default="")[:10],
        generated_from=_hash(sorted(r.digest or content_digest(r) for r in records)) if records else "",
    )


def _fingerprint(registry: Registry, system: str, case: str) -> str:
    declared = registry.systems[system].cases[case]
    card = registry.datasets.get(declared.dataset)
    return code_fingerprint(registry.systems[system], card) if card else ""


def _hash(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
