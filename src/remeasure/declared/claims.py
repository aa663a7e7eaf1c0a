"""Claims as data: what a paper says, where, and which case and arms test it; and a system's named figures."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any, Literal

import msgspec

from ..errors import UserError
from ..struct import Struct

Kind = Literal["ratio", "difference", "value", "ordering", "bound", "property"]


class Claim(Struct, frozen=True):
    id: str
    statement: str
    """Our own words."""
    where: str
    """Place in the paper or source."""
    kind: Kind
    testability: Literal["measured", "scaled", "modelled", "not-testable"]
    case: str = ""
    metric: str = ""
    """Empty: the case's first metric."""
    treatment: str = ""
    baseline: str = ""
    order: list[str] = []
    """kind=ordering: arms from best to worst."""
    value: float | None = None
    """ratio: oriented so that > 1 favours the treatment. difference: in the metric's unit, > 0 favours it;
    None where only the sign is claimed."""
    tolerance: float | None = None
    """ratio: factor (default 1.25); value: absolute."""
    tolerance_changed_because: str = ""
    over: Literal["", "units", "seeds"] = ""
    """value over judged units: `units` (users, documents: a sample of a population) or `seeds` (the published test set
    itself, so that only training seeds are random)."""
    smallest: float = 0.005
    """difference: the smallest that matters."""
    margin: float | None = None
    """bound: the margin, stated before the run. With a baseline the loss allowed, relative for times (the
    treatment may take 1 + margin times as long), else in the metric's unit; without one the limit itself."""
    test: str = ""
    """property: the node id of the test that proves it."""
    why: str = ""
    by: Literal["paper", "remeasure", "other"] = "paper"
    source: str = ""
    """by = other: who says so."""
    about: Literal["data", "algorithm"] = "data"
    """`data`: judged on real data only; `algorithm`: cost or exactness, may be judged on simulated data."""
    calibrated: bool = False
    """The claim is an input of the model that computes it."""
    unverified: bool = False
    """Remembered, not read: never printed as the paper's."""
    audit: str = ""
    """Where the source contradicts itself."""
    version: str = ""
    source_level: Literal["abstract", "body", "figure", "note", "code", "readme"] = "body"
    baseline_ambiguous: bool = False


class Figure(Struct, frozen=True):
    """A number a reader would search for, computed from a case's measurements."""

    name: str
    case: str
    arm: str
    metric: str = ""
    baseline: str = ""
    """Set: the figure is the ratio arm / baseline."""
    statistic: Literal["mean", "median", "max", "sum"] = "mean"
    unit: str = ""
    scale: float = 1.0
    """Multiplied in, e.g. 1/60 for minutes."""
    invert: bool = False
    """1/x first, e.g. seconds per user → users per second."""
    at_least: float | None = None
    at_most: float | None = None


class Claims(Struct, frozen=True):
    title: str
    paper: str
    """Citation with its arXiv number."""
    link: str
    claim: list[Claim] = []
    figure: list[Figure] = []


def read_claims(path: Path) -> Claims:
    """Claims and figures of one system; a malformed file is refused with the line or key that is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{_shown(path)} cannot be read: {error}; mend the file.") from None
    try:
        claims = msgspec.convert(raw, Claims)
    except msgspec.ValidationError as error:
        where = _entry(path, raw, str(error))
        raise UserError(f"{where}: {error}; see CONTRIBUTING.md for the keys a claim may have.") from None
    seen: set[str] = set()
    for claim in claims.claim:
        if claim.id in seen:
            raise UserError(f"{place(path, claim.id)}: claim {claim.id} stands twice; give each its own id.")
        seen.add(claim.id)
        _check(claim, path)
    return claims


def _check(claim: Claim, path: Path) -> None:
    """Refuse a claim that could not be judged fairly; each refusal says what is missing."""
    problem = ""
    if not claim.where.strip():
        problem = "names no place in the paper (`where`)"
    elif claim.testability == "not-testable" and not claim.why:
        problem = "is not-testable but gives no reason (`why`)"
    elif claim.tolerance is not None and not claim.tolerance_changed_because:
        problem = "changes the tolerance without `tolerance_changed_because`"
    elif claim.by == "other" and not claim.source:
        problem = 'is by = "other" but names no `source`'
    elif claim.testability != "not-testable" and claim.kind != "property" and not claim.case:
        problem = "names no `case`"
    elif claim.kind == "property" and not claim.test and claim.testability != "not-testable":
        problem = "is a property but names no `test`"
    elif claim.kind in ("ratio", "value") and claim.value is None:
        problem = f"is of kind {claim.kind} but claims no `value`"
    elif claim.kind == "ratio" and claim.value is not None and claim.value <= 0:
        problem = f"claims a ratio of {claim.value:g}, and a ratio is above 0"
    elif claim.kind == "ratio" and claim.tolerance is not None and claim.tolerance <= 1:
        problem = f"has a tolerance of {claim.tolerance:g}, and that of a ratio is a factor above 1"
    elif claim.kind == "bound" and claim.margin is None and claim.testability != "not-testable":
        problem = "is a bound but states no `margin`"
    if problem:
        raise UserError(f"{place(path, claim.id)}: claim {claim.id} {problem}.")


def place(path: Path, name: str, key: str = "id") -> str:
    """File and, where found, the line of the entry whose `key` is `name` (the last, so doubles show)."""
    lines = path.read_text(encoding="utf-8").splitlines() if name else []
    entry = re.compile(rf"""{key}\s*=\s*["']{re.escape(name)}["']\s*(#.*)?""")
    found = [number for number, line in enumerate(lines, 1) if entry.fullmatch(line)]
    return f"{_shown(path)} line {found[-1]}" if found else _shown(path)


def _entry(path: Path, raw: dict[str, Any], message: str) -> str:
    """The place of the entry that msgspec's message points to (`$.claim[3].kind`)."""
    at = re.search(r"\$\.(claim|figure)\[(\d+)\]", message)
    if not at:
        return _shown(path)
    key = "id" if at[1] == "claim" else "name"
    return place(path, str(raw[at[1]][int(at[2])].get(key, "")), key)


def _shown(path: Path) -> str:
    """The last parts of a path: enough to find the file, nothing about the machine."""
    return "/".join(path.parts[-3:])
