"""`remeasure run`: measure what is not measured yet, then judge and write the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from . import console, exits, fail_on, options, reporting
from .places import places
from .progress import shown
from .selected import Selection, selecting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..declared.registry import Registry
    from ..judging.judged import Report
    from ..records.record import Record
    from ..records.store import Store
    from ..running.blocks import Planned
    from ..running.runner import Outcome

    More = Callable[[Sequence[Planned]], Sequence[Planned]]


@selecting
def run(
    selected: Selection,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Blocks side by side; blocks that time run alone anyway."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Begin nothing after e.g. 90s, 10m or 2h.")
    ] = None,
    fail_on_: Annotated[
        str | None,
        typer.Option(
            "--fail-on", metavar="VERDICTS", help="Exit 3 on these verdicts, e.g. contradicted,invalid."
        ),
    ] = None,
    results: options.Results = None,
    out: options.Out = None,
    json: options.Json = False,
) -> None:
    """Measure, judge, and write the page. What is finished is not measured again: say the same to go on."""
    from ..declared.registry import registry
    from ..records.store import Store

    words, limit = fail_on.parse(fail_on_), Limit(jobs, None if budget is None else options.seconds(budget))
    where = places(results, out)
    found, store = registry(), Store(where.results)
    planned = selected.plan(found, store)
    _read_own(selected, planned, found)
    _warn(planned, store, found)
    ended, outcome = _measure(planned, store, limit, _more(selected, found, store))
    report = reporting.build(selected, outcome.planned, store, where, skip_bad=True)
    page = reporting.write(report, where)
    _say(report, outcome, page, json)
    raise typer.Exit(_code(outcome, ended, report, words))


BRING = "say `pip install 'remeasure[models]'`, in a clone `make`"
"""How what systems need is brought."""


@dataclass(frozen=True)
class Limit:
    """How much a run may take."""

    jobs: int | None
    """Blocks side by side; None: as many as there are cores."""
    budget_s: float | None
    """Seconds after which nothing is begun."""


def _read_own(selected: Selection, planned: Sequence[Planned], found: Registry) -> None:
    """Read the user's own files before anything is measured, so that a fault in them is told at once."""
    from ..data.own_data import read_once

    own, _ = selected.own(found)
    if own and own.datasets:
        read_once(own, (item.asked for item in planned if not item.cached), found)
    if left_out := selected.left_out(found):
        console.note(left_out)


def _warn(planned: Sequence[Planned], store: Store, found: Registry) -> None:
    """What a person wants to know before an hour of measuring, not after it."""
    from ..records.provenance import UNKNOWN, commit

    store.prepare()
    for sentence in _lacking(planned, found):
        console.note(sentence)
    for sentence in store.bad({item.block.system for item in planned}):
        console.note(f"Left out: {sentence}")
    revision = commit()
    if revision.commit == UNKNOWN:
        console.note(
            f"The commit of this code is unknown ({revision.why}): no release will take these records."
        )
    elif revision.dirty:
        console.note("There are uncommitted changes: no release will take these records.")


def _lacking(planned: Sequence[Planned], found: Registry) -> Iterator[str]:
    """A sentence for every system that imports what is not installed, once for all its blocks."""
    from ..records.packages import missing

    waiting = [item.block for item in planned if not item.cached]
    for name in dict.fromkeys(block.system for block in waiting):
        cases = {block.case for block in waiting if block.system == name}
        cards = [found.dataset(found.case(f"{name}/{case}").dataset) for case in sorted(cases)]
        if lacks := missing(found.system(name), cards):
            yield f"{name} needs {', '.join(lacks)}, not installed here: {BRING}."


def _more(selected: Selection, found: Registry, store: Store) -> More | None:
    """What follows where judging finds an interval too wide; seeds that were named are all there are."""
    from ..judging.precision import narrow_enough
    from ..running.precision import further

    return further(found, store, narrow_enough(found)) if selected.seeds is None else None


def _measure(
    planned: Sequence[Planned], store: Store, limit: Limit, more: More | None
) -> tuple[list[Record], Outcome]:
    """Measure what is planned and not finished; every block's record is kept as soon as it ends."""
    from ..running.executors.local import LocalExecutor
    from ..running.runner import run

    executor = LocalExecutor(limit.jobs)
    ended: list[Record] = []
    try:
        with shown(planned, executor.jobs) as progress:
            outcome = run(
                planned,
                store,
                executor,
                progress=progress,
                budget_s=limit.budget_s,
                on_record=ended.append,
                more=more,
            )
    except KeyboardInterrupt:
        raise typer.Exit(_interrupted(planned, store)) from None
    return ended, outcome


def _say(report: Report, outcome: Outcome, page: str, json: bool) -> None:
    """What was judged, and where the page is."""
    if json:
        console.as_json(
            {
                "done": [block.key for block in outcome.done],
                "cached": [block.key for block in outcome.cached],
                "failed": [block.key for block in outcome.failed],
                "not_started": [block.key for block in outcome.not_started],
                "page": page,
                "claims": report.claims,
            }
        )
    else:
        console.summary(report)
    typer.echo(f"The page is {page}.", err=json)


def _code(outcome: Outcome, ended: Sequence[Record], report: Report, words: frozenset[str]) -> int:
    """The exit code, and a line for each thing that is not as asked for."""
    code = exits.OK
    cut_short = sum(record.budget_ended for record in ended)
    if outcome.not_started or cut_short:
        console.note(
            f"The budget ended; blocks not begun: {len(outcome.not_started)}, cut short: {cut_short}. "
            "Say the same again to go on."
        )
        code = exits.BUDGET_ENDED
    hit = [claim for claim in report.claims if claim.verdict.word in words]
    if hit:
        console.note(
            "--fail-on: " + ", ".join(f"{claim.system}/{claim.id} is {claim.verdict.word}" for claim in hit)
        )
        code = exits.FAIL_ON
    if outcome.failed:
        for sentence in dict.fromkeys(
            f"{record.system}/{record.case}: {record.failure.message.splitlines()[0]}"
            for record in ended
            if record.failure and record.failure.message
        ):
            console.note(sentence)
        console.note(
            f"Blocks that failed: {len(outcome.failed)}. The page shows why; the same call tries them again."
        )
        code = exits.BLOCK_FAILED
    return code


def _interrupted(planned: Sequence[Planned], store: Store) -> int:
    kept = sum(store.has(item.block.key) for item in planned)
    console.note(
        f"remeasure: interrupted; {kept} of {len(planned)} blocks are finished and kept. "
        "Say the same again to go on."
    )
    return exits.INTERRUPTED
