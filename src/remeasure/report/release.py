"""This machine beside the committed release: every claim and figure both have, and what one of them lacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ..judging.judged import FigureRow, Judgement, Report
from .numbers import NOTHING, Shown, change, shown, together


@dataclass(frozen=True)
class Beside:
    """One number, then and now."""

    what: str
    anchor: str
    then: Shown
    now: Shown
    evidence: str
    data: str
    then_word: str
    now_word: str
    change: str
    overlap: str
    """`overlap`, `apart`, or a dash where one has no interval."""

    @property
    def word_changed(self) -> bool:
        return self.then_word != self.now_word


@dataclass(frozen=True)
class Comparison:
    systems: dict[str, list[Beside]]
    environment: str
    dates: dict[str, str]


def with_plain_dicts(report: Report) -> Report:
    """Environments and the release as dictionaries all the way down, whatever structs they came as."""
    return msgspec.structs.replace(
        report,
        environments=msgspec.to_builtins(report.environments),
        release=msgspec.to_builtins(report.release),
    )


def compare(report: Report) -> Comparison | None:
    """None where no release is committed."""
    if not report.release:
        return None
    release = report.release
    figures = {(f.get("system"), f.get("name")): f for f in release.get("figures", [])}
    claims = {(c.get("system"), c.get("id")): c for c in release.get("claims", [])}
    systems: dict[str, list[Beside]] = {row.name: [] for row in report.systems}
    for figure in report.figures:
        old = figures.get((figure.system, figure.name))
        if old and old.get("unit", "") == figure.unit:
            numbers = (_number(old, "value"), (figure.value, figure.lo, figure.hi))
            systems.setdefault(figure.system, []).append(
                _beside(figure, figure.name, "", "value", *numbers, ("", ""))
            )
    for claim in report.claims:
        if old := claims.get((claim.system, claim.id)):
            words = (_word(old.get("verdict")), claim.verdict.word)
            now = (claim.estimate, claim.lo, claim.hi)
            then = _number(old, "estimate")
            if then[0] is None and now[0] is None and words[0] == words[1]:
                continue
            anchor = f"{claim.system}-{claim.id}"
            systems.setdefault(claim.system, []).append(
                _beside(claim, claim.id, anchor, claim.kind, then, now, words)
            )
    dates = {name: str(row.get("date", "")) for name, row in sorted(release.get("systems", {}).items())}
    return Comparison({k: v for k, v in systems.items() if v}, _environments(report), dates)


_Number = tuple[float | None, float | None, float | None]


def _number(row: Mapping[str, Any], key: str) -> _Number:
    return row.get(key), row.get("lo"), row.get("hi")


def _word(verdict: Any) -> str:
    return str(verdict.get("word", "")) if isinstance(verdict, Mapping) else str(verdict or "")


def _beside(
    row: FigureRow | Judgement,
    what: str,
    anchor: str,
    kind: str,
    then: _Number,
    now: _Number,
    words: tuple[str, str],
) -> Beside:
    moved = change(now[0], then[0])
    if kind == "difference" and now[0] is not None and then[0] is not None:
        moved = together("difference", [now[0] - then[0]], [*now, *then])[0]
    return Beside(
        what=what,
        anchor=anchor,
        then=shown(kind, *then, row.unit),
        now=shown(kind, *now, row.unit),
        evidence=row.evidence,
        data=row.data,
        then_word=words[0],
        now_word=words[1],
        change=moved,
        overlap=_overlap(then, now),
    )


def _overlap(then: _Number, now: _Number) -> str:
    _, then_lo, then_hi = then
    _, now_lo, now_hi = now
    if then_lo is None or then_hi is None or now_lo is None or now_hi is None:
        return NOTHING
    return "overlap" if then_lo <= now_hi and now_lo <= then_hi else "apart"


_FACTS = {"cpu_model": "processor", "cores": "cores", "ram_mb": "MB of memory", "python": "Python"}


def _environments(report: Report) -> str:
    """In what the machine of the release and this one differ, in one sentence."""
    then = (report.release or {}).get("environment")
    facts = then if isinstance(then, Mapping) else {}
    sha = then if isinstance(then, str) else str(facts.get("sha256", ""))
    if sha and sha in report.environments:
        return "The release was made in the same environment."
    if not facts or not report.environments:
        return f"The release was made in another environment{f' ({sha[:12]})' if sha else ''}."
    here = list(report.environments.values())
    differs = [_difference(name, facts, here, key) for key, name in _FACTS.items()]
    packages = facts.get("packages", {})
    versions = [env.get("packages", {}) for env in here]
    differs += [_difference(name, packages, versions, name) for name in sorted(packages)]
    said = "; ".join(filter(None, differs))
    return f"The environments differ: {said}." if said else "Both machines look the same."


def _difference(name: str, then: Mapping[str, Any], here: list[Any], key: str) -> str:
    """`cores 8 there, 2 here`, or nothing where both are the same."""
    now = "; ".join(dict.fromkeys(str(env[key]) for env in here if key in env)) or "none"
    return "" if key not in then or str(then[key]) == now else f"{name} {then[key]} there, {now} here"
