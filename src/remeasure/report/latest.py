"""A run worth quoting, kept small: `latest.json`, and the published schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
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
STANDARD = "standard"
"""The profile that a release is of; README and comparisons quote no other."""
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
    data_sha256: str = ""
    data_label: str = ""
    """Both empty in a release made before they were written; filled on reading where its report says them."""


class ReleasedFigure(Struct, frozen=True):
    system: str
    name: str
    value: float
    unit: str
    lo: float | None
    hi: float | None
    evidence: str = ""
    """Empty, like all that follows, in a release made before it was written."""
    data: str = ""
    data_sha256: str = ""
    target: str = ""
    met: bool | None = None
    invalid: str = ""
    """Which guard refused it, and why."""


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
                data_sha256=claim.data_sha256,
                data_label=claim.data_label,
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
                evidence=figure.evidence,
                data=figure.data,
                data_sha256=figure.data_sha256,
                target=figure.target,
                met=figure.met,
                invalid=figure.invalid,
            )
            for figure in report.figures
        ],
    )


def latest_json(report: Report) -> bytes:
    """`latest.json` of a report, byte for byte the same for the same report."""
    return _encode(latest_of(report))


def read_latest(path: Path) -> Latest:
    """With what an older one lacks taken from the report beside it, where that says it.

    Raises UserError for a file that cannot be read or is no release summary.
    """
    try:
        read = msgspec.json.decode(path.read_bytes(), type=Latest)
        return filled(read, path.parent / read.profile / "report.json")
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); make it readable.") from None
    except msgspec.MsgspecError as error:
        raise UserError(
            f"{path} is no release summary ({error}); restore it from git or delete it."
        ) from None


def write_release(report: Report, folder: Path) -> Path:
    """Write `folder`/latest.json. Systems that this report did not measure keep their entries.

    That of a profile other than `standard` is `folder`/PROFILE/latest.json. Raises UserError, and writes nothing, for
    numbers from an uncommitted tree, from several commits or an unknown one.
    """
    for row in report.systems:
        if row.commit:
            _refuse_unreleasable(row.name, row.commit)
    latest = latest_of(report)
    if not latest.systems:
        raise UserError(f"nothing is measured in profile {report.profile}; run it before releasing it.")
    path = (folder if report.profile == STANDARD else folder / report.profile) / LATEST
    if path.exists():
        latest = _merged(read_latest(path), latest, path)
    write_whole(path, _encode(latest))
    return path


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


def filled(latest: Latest, report: Path) -> Latest:
    """What figures and claims of an older release lack, from its report; a figure takes its case's data."""
    if all(figure.evidence for figure in latest.figures) or not report.is_file():
        return latest
    said = json.loads(report.read_bytes())
    claims = {(row["system"], row["id"]): row for row in said["claims"]}
    figures = {(row["system"], row["name"]): row for row in said["figures"]}
    hashes = {
        (row["system"], row["case"]): row["data_sha256"] for row in said["claims"] if row["data_sha256"]
    }

    def of_claim(claim: ReleasedClaim) -> ReleasedClaim:
        row = claims.get((claim.system, claim.id), {})
        known = {key: getattr(claim, key) or row.get(key, "") for key in ("data_sha256", "data_label")}
        return msgspec.structs.replace(claim, **known)

    def of_figure(figure: ReleasedFigure) -> ReleasedFigure:
        row = figures.get((figure.system, figure.name))
        if row is None or figure.evidence:
            return figure
        known = {key: row[key] for key in ("evidence", "data", "target", "met")}
        sha256 = hashes.get((figure.system, row["case"]), "")
        return msgspec.structs.replace(figure, **known, data_sha256=sha256)

    return msgspec.structs.replace(
        latest, claims=[*map(of_claim, latest.claims)], figures=[*map(of_figure, latest.figures)]
    )


def _encode(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value, order=None), indent=1) + b"\n"
