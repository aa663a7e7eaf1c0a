"""A run worth quoting, kept small: `latest.json`, README's tables made from it, and the published schemas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..errors import UserError
from ..judging.judged import Report
from ..records.packages import SHOWN
from ..records.provenance import UNKNOWN
from ..records.record import Record
from ..records.store import write_whole
from ..struct import Struct

LATEST = "latest.json"
BEGIN, END = "<!-- figures:begin -->", "<!-- figures:end -->"
SHORT = 10
"""Characters of a commit that README shows."""
FACTS = ("python", "cpu_model", "cores", "ram_mb", "kernel")
"""What of an environment stands in `latest.json`, beside its hash and the packages that results depend on."""


class ReleasedSystem(Struct, frozen=True):
    commit: str
    fingerprint: str
    date: str


class ReleasedClaim(Struct, frozen=True):
    system: str
    id: str
    verdict: str
    evidence: str
    data: str
    claimed: float | None
    estimate: float | None
    lo: float | None
    hi: float | None
    n: int


class ReleasedFigure(Struct, frozen=True):
    system: str
    name: str
    value: float
    unit: str
    lo: float | None
    hi: float | None


class Latest(Struct, frozen=True):
    """`latest.json`."""

    profile: str
    environment: dict[str, Any]
    """What is stable about the machine; several are named side by side."""
    systems: dict[str, ReleasedSystem]
    claims: list[ReleasedClaim]
    figures: list[ReleasedFigure]


def latest_of(report: Report) -> Latest:
    """The summary of a report: systems that were measured, all their claims, all figures."""
    measured = {row.name for row in report.systems if row.commit}
    return Latest(
        profile=report.profile,
        environment=_together([_facts(sha, found) for sha, found in report.environments.items()]),
        systems={
            row.name: ReleasedSystem(commit=row.commit, fingerprint=row.fingerprint, date=row.date)
            for row in report.systems
            if row.name in measured
        },
        claims=[
            ReleasedClaim(
                system=claim.system,
                id=claim.id,
                verdict=claim.verdict.word,
                evidence=claim.evidence,
                data=claim.data,
                claimed=claim.claimed,
                estimate=claim.estimate,
                lo=claim.lo,
                hi=claim.hi,
                n=claim.n,
            )
            for claim in report.claims
            if claim.system in measured
        ],
        figures=[
            ReleasedFigure(
                system=figure.system,
                name=figure.name,
                value=figure.value,
                unit=figure.unit,
                lo=figure.lo,
                hi=figure.hi,
            )
            for figure in report.figures
        ],
    )


def latest_json(report: Report) -> bytes:
    """`latest.json` of a report, byte for byte the same for the same report."""
    return _encode(latest_of(report))


def read_latest(path: Path) -> Latest:
    """Raises UserError for a file that cannot be read or is no release summary."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Latest)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from None
    except msgspec.MsgspecError as error:
        raise UserError(
            f"{path} is no release summary ({error}); restore it from git or delete it."
        ) from None


def write_release(report: Report, folder: Path) -> Path:
    """Write `folder`/latest.json. Systems that this report did not measure keep their entries.

    Raises UserError, and writes nothing, for numbers from an uncommitted tree, from several commits or an
    unknown one, and where the folder holds a release of another profile.
    """
    for row in report.systems:
        if row.commit:
            _refuse_unreleasable(row.name, row.commit)
    latest = latest_of(report)
    if not latest.systems:
        raise UserError(f"nothing is measured in profile {report.profile}; run it before releasing it.")
    path = folder / LATEST
    if path.exists():
        latest = _merged(read_latest(path), latest, path)
    write_whole(path, _encode(latest))
    return path


def readme_tables(latest: Latest) -> str:
    """The generated block of README, markers included: claims and figures of each system, with their age."""
    parts = [BEGIN, f"Measured with profile `{latest.profile}` on {_machine(latest.environment)}."]
    for name, system in latest.systems.items():
        parts.append(f"**{name}**, measured {system.date} at commit `{system.commit[:SHORT]}`")
        claims = [claim for claim in latest.claims if claim.system == name]
        if claims:
            rows = [
                (
                    c.id,
                    c.verdict,
                    number(c.claimed),
                    number(c.estimate),
                    interval(c.lo, c.hi),
                    c.n or "–",
                    _how(c),
                )
                for c in claims
            ]
            parts.append(
                _table(("claim", "verdict", "claimed", "measured", "95 % interval", "n", "evidence"), rows)
            )
        figures = [figure for figure in latest.figures if figure.system == name]
        if figures:
            shown = [(f.name, f"{number(f.value)} {f.unit}".strip(), interval(f.lo, f.hi)) for f in figures]
            parts.append(_table(("figure", "measured", "95 % interval"), shown))
    return "\n\n".join([*parts, END])


def update_readme(path: Path, latest: Latest) -> bool:
    """Replace the generated block of README; False if it was up to date. Raises UserError without markers."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{path.name} has no block between {BEGIN} and {END}; put both markers in.")
    updated = before + readme_tables(latest) + after
    if updated == text:
        return False
    write_whole(path, updated.encode())
    return True


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schemas of what is published: file name → schema."""
    published = {"report": Report, "latest": Latest, "record": Record}
    return {f"{name}.schema.json": msgspec.json.schema(type_) for name, type_ in published.items()}


def write_schemas(folder: Path) -> list[Path]:
    paths = []
    for name, schema in schemas().items():
        write_whole(folder / name, _encode(schema))
        paths.append(folder / name)
    return paths


def number(value: float | None) -> str:
    """Four figures that matter; a dash where there is no number."""
    return "–" if value is None else f"{value:.4g}"


def interval(lo: float | None, hi: float | None) -> str:
    return "–" if lo is None or hi is None else f"[{number(lo)}, {number(hi)}]"


def _refuse_unreleasable(system: str, commit: str) -> None:
    if "+dirty" in commit:
        problem = "were measured with uncommitted changes; commit them and run again"
    elif ", " in commit:
        problem = f"come from several commits ({commit}); run all of its cases at one"
    elif commit == UNKNOWN:
        problem = "were measured by code of no known commit; run from a clone"
    else:
        return
    raise UserError(f"the records of {system} {problem}; nothing was released.")


def _merged(old: Latest, new: Latest, path: Path) -> Latest:
    if old.profile != new.profile:
        raise UserError(
            f"{path} is a release of profile {old.profile}, this is a run of {new.profile}; "
            "release into another folder."
        )
    kept = {name: system for name, system in old.systems.items() if name not in new.systems}
    systems = {**kept, **new.systems}
    return Latest(
        profile=new.profile,
        environment=_together([old.environment, new.environment] if kept else [new.environment]),
        systems=dict(sorted(systems.items())),
        claims=[*new.claims, *(claim for claim in old.claims if claim.system in kept)],
        figures=[*new.figures, *(figure for figure in old.figures if figure.system in kept)],
    )


def _facts(sha: str, environment: Mapping[str, Any]) -> dict[str, Any]:
    packages = environment.get("packages", {})
    return {
        "sha256": sha,
        **{name: environment[name] for name in FACTS if name in environment},
        "packages": {name: packages[name] for name in SHOWN if name in packages},
    }


def _together(environments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One environment; where several differ, their values side by side."""
    joined: dict[str, Any] = {}
    for key in dict.fromkeys(key for environment in environments for key in environment):
        values = [environment[key] for environment in environments if key in environment]
        if all(isinstance(value, Mapping) for value in values):
            joined[key] = _together(values)
        elif all(value == values[0] for value in values):
            joined[key] = values[0]
        else:
            joined[key] = "; ".join(dict.fromkeys(map(str, values)))
    return joined


def _machine(environment: Mapping[str, Any]) -> str:
    cpu, cores = environment.get("cpu_model", "a machine that is not recorded"), environment.get("cores", "?")
    return f"{cpu} ({cores} cores), Python {environment.get('python', '?')}"


def _how(claim: ReleasedClaim) -> str:
    return ", ".join(part for part in (claim.evidence, f"{claim.data} data" if claim.data else "") if part)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def _encode(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order=None), indent=1) + b"\n"
