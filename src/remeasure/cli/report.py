"""`report` and `show`: what the finished blocks say, without measuring anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from . import console, options, reporting
from .places import places, shown
from .selected import Selection, selecting, selection

if TYPE_CHECKING:
    from ..declared.registry import Registry
    from ..judging.judged import Judgement
    from ..records.store import Store
    from .places import Places

RICHEST_FIRST = ("full", "standard", options.DEFAULT_PROFILE)


@selecting
def report(
    selected: Selection,
    release: Annotated[
        bool, typer.Option("--release", help="Also write it to releases/ and put its numbers into README.md.")
    ] = False,
    results: options.Results = None,
    out: options.Out = None,
) -> None:
    """Judge what is finished and write the page again."""
    from ..declared.registry import registry
    from ..records.store import Store

    if release and selected.settings:
        raise UserError("a release is of what is declared, on the published data; say it without --set.")
    if release and not selected.whole:
        raise UserError("a release is of whole systems; choose by --system alone.")
    where = places(results, out)
    store = Store(where.results)
    planned = selected.plan(registry(), store)
    said = reporting.completeness(planned, store, selected.profile) if release else ""
    made = reporting.build(selected, planned, store, where, releasing=release)
    page = reporting.write(made, where)
    console.summary(made)
    if release:
        typer.echo(said)
        for path in reporting.release(made, where):
            typer.echo(f"Written: {shown(path)}.")
    typer.echo(f"The page is {page}.")


def show(
    claim: Annotated[
        str, typer.Argument(metavar="CLAIM", help="SYSTEM/ID, or the id alone where one system has it.")
    ],
    profile: Annotated[
        str | None,
        typer.Option("--profile", "-p", help="Its numbers in this profile; else the largest that ran."),
    ] = None,
    seed: options.Seeds = None,
    set_: options.Settings = None,
    results: options.Results = None,
    json: options.Json = False,
) -> None:
    """One claim: verdict, number and how to repeat it."""
    from ..declared.registry import registry
    from ..records.store import Store

    where = places(results)
    found, store = registry(), Store(where.results)
    owner, declared = found.claim(claim)
    name = f"{owner.name}/{declared.id}"
    chosen = profile or _largest(found, store, name)
    selected = selection(chosen, [owner.name], claim=[name], seed=seed, set_=set_)
    judged = _judged(selected, found, store, where, has_case=bool(declared.case))
    if json:
        console.as_json(judged)
    else:
        _print(judged, f"remeasure run --claim {name} --profile {chosen}")


def _largest(found: Registry, store: Store, name: str) -> str:
    """The largest profile in which the claim's case has a finished block; the default where none has."""
    owner, declared = found.claim(name)
    profiles = owner.cases[declared.case].profiles if declared.case else {}
    for profile in RICHEST_FIRST:
        if profile in profiles:
            planned = selection(profile, [owner.name], claim=[name]).plan(found, store)
            if any(item.cached for item in planned):
                return profile
    return options.DEFAULT_PROFILE


def _judged(
    selected: Selection, found: Registry, store: Store, where: Places, *, has_case: bool
) -> Judgement:
    planned = selected.plan(found, store) if has_case else []
    made = reporting.build(selected, planned, store, where)
    name = selected.claims[0]
    judged = next((one for one in made.claims if f"{one.system}/{one.id}" == name), None)
    if judged is None:
        raise UserError(f"{name} was not judged; say `remeasure run --claim {name}`.")
    return judged


def _print(judged: Judgement, measure: str) -> None:
    """One fact a line; a line without a fact is left out."""
    from ..report.behind import behind

    unit = "×" if judged.kind == "ratio" else judged.unit
    said = " ".join(
        part for part in (judged.by if judged.by != "other" else judged.source, judged.where) if part
    )
    number = f"{console.number(judged.estimate)} {console.interval(judged.lo, judged.hi)}"
    lines = {
        "claim": f"{judged.system}/{judged.id}: {judged.statement}",
        "says": said,
        "verdict": judged.verdict.word,
        "because": "; ".join(
            filter(None, (judged.verdict.direction, judged.verdict.size, judged.verdict.reason))
        ),
        "claimed": "" if judged.claimed is None else f"{console.number(judged.claimed)} {unit}".strip(),
        "measured": "" if judged.estimate is None else f"{number} {unit}".strip(),
        "compares": f"{judged.treatment} with {judged.baseline}" if judged.baseline else judged.treatment,
        "metric": f"{judged.metric} of {judged.system}/{judged.case}" if judged.case else judged.metric,
        **behind(judged),
        "seeds": ", ".join(map(str, judged.seeds)) if judged.estimate is not None else "",
        "evidence": console.evidence(judged),
        "data": " ".join(part for part in (judged.data_label, judged.data_sha256[:12]) if part),
        "how": judged.how,
        "audit": judged.audit,
        "failed guards": "; ".join(
            f"{guard.name}: {guard.detail}" for guard in judged.guards if not guard.ok
        ),
        "commit": f"{judged.commit}{', with uncommitted changes' if judged.dirty else ''}"
        if judged.commit
        else "",
        "environment": judged.environment[:12],
        "repeat": judged.command or ("" if judged.verdict.word == "not testable here" else measure),
    }
    width = max(map(len, lines))
    for name, fact in lines.items():
        if fact:
            typer.echo(f"{name:<{width}}  {fact}")
