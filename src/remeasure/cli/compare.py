"""`remeasure compare`: two runs side by side, claim by claim and figure by figure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from . import console, options, reporting
from .places import Places, places, shown
from .selected import selection

WHAT = "A report.json or latest.json, a folder with one, a commit that ran here, `this` machine or `release`."


@dataclass(frozen=True)
class Side:
    """One number of one run."""

    word: str
    """The verdict; empty for a figure."""
    value: float | None
    lo: float | None
    hi: float | None

    def __str__(self) -> str:
        if self.lo is None or self.hi is None:
            return console.number(self.value)
        return f"{console.number(self.value)} {console.interval(self.lo, self.hi)}"


@dataclass(frozen=True)
class Row:
    """One claim or figure that at least one of the runs has."""

    name: str
    then: Side | None
    now: Side | None

    @property
    def change(self) -> str:
        """What a reader looks for: a verdict that changed, intervals apart, a number that is gone."""
        if self.then is None or self.now is None:
            return "only in the second" if self.then is None else "only in the first"
        if self.then.word != self.now.word:
            return "verdict changed"
        if self.then.lo is None or self.then.hi is None or self.now.lo is None or self.now.hi is None:
            return "" if self.then.value == self.now.value else "differs"
        return "" if self.then.lo <= self.now.hi and self.now.lo <= self.then.hi else "intervals apart"


def compare(
    first: Annotated[str, typer.Argument(metavar="[RUN]", help=WHAT)] = "release",
    second: Annotated[str, typer.Argument(metavar="[RUN]", help="The same.")] = "this",
    profile: options.Profile = options.DEFAULT_PROFILE,
    results: options.Results = None,
    json: options.Json = False,
) -> None:
    """Two runs side by side. Without names this machine beside the committed release."""
    where = places(results)
    found = [_run(name, profile, where) for name in (first, second)]
    compared = list(rows(*found))
    if json:
        console.as_json(
            [{"name": row.name, "then": row.then, "now": row.now, "change": row.change} for row in compared]
        )
        return
    console.table(
        ("claim or figure", f"verdict, {first}", f"verdict, {second}", first, second, "change"),
        (
            (
                row.name,
                row.then.word if row.then else "–",
                row.now.word if row.now else "–",
                str(row.then or "–"),
                str(row.now or "–"),
                row.change,
            )
            for row in compared
        ),
    )
    console.note(f"{sum(bool(row.change) for row in compared)} of {len(compared)} differ.")


def rows(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[Row]:
    """Claims, then figures, in the order of the first run; what only the second has comes last."""
    then, now = _sides(first), _sides(second)
    for name in dict.fromkeys((*then, *now)):
        yield Row(name, then.get(name), now.get(name))


def _sides(run: Mapping[str, Any]) -> dict[str, Side]:
    claims = {f"{claim['system']}/{claim['id']}": _side(claim, "estimate") for claim in run.get("claims", ())}
    figures = {
        f"{figure['system']}: {figure['name']}": _side(figure, "value") for figure in run.get("figures", ())
    }
    return claims | figures


def _side(row: Mapping[str, Any], key: str) -> Side:
    verdict = row.get("verdict", "")
    word = verdict.get("word", "") if isinstance(verdict, Mapping) else str(verdict)
    return Side(word, row.get(key), row.get("lo"), row.get("hi"))


def _run(name: str, profile: str, where: Places) -> dict[str, Any]:
    """The claims and figures of a run, as `report.json` and `latest.json` hold them."""
    if name == "release":
        released = reporting.latest(where)
        if released is None:
            advice = (
                "say `remeasure report --release`"
                if where.root
                else "releases are made in a clone: compare there, or name two reports"
            )
            raise UserError(f"there is no release here (results/releases/latest.json); {advice}.")
        return released
    if name == "this":
        return _here(profile, where, "")
    if Path(name).exists():
        return _file(Path(name))
    if re.fullmatch(r"[0-9a-f]{4,40}", name):
        return _here(profile, where, name)
    raise UserError(
        f"{name!r} is no run: there is no such file, and it is neither a commit, `this` nor `release`."
    )


def _here(profile: str, where: Places, commit: str) -> dict[str, Any]:
    """What ran on this machine, of one commit or of the code as it is now."""
    import msgspec

    from ..declared.registry import registry
    from ..records.store import Store

    store, selected = Store(where.results), selection(profile)
    if commit:
        records = [one for one in store.read_all(profile) if one.provenance.commit.startswith(commit)]
        if not records:
            raise UserError(
                f"no block of commit {commit} is finished in profile {profile}; `remeasure run` there first."
            )
        report = reporting.judge(selected, records, store, where)
    else:
        report = reporting.build(selected, selected.plan(registry(), store), store, where)
    built: dict[str, Any] = msgspec.to_builtins(report)
    return built


def _file(path: Path) -> dict[str, Any]:
    if path.is_dir():
        inside = [path / name for name in ("report.json", "latest.json") if (path / name).is_file()]
        if not inside:
            raise UserError(
                f"{shown(path)} holds neither report.json nor latest.json; name the folder of a report."
            )
        path = inside[0]
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        _sides(found)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{shown(path)} is no report; name a report.json or latest.json.") from None
    return dict(found)
