"""What judging yields: one judgement a claim, one summary an arm; the report and latest.json are made of these."""

from __future__ import annotations

from typing import Any, Literal

from ..struct import Struct

Word = Literal[
    "reproduced",
    "reproduced, stronger",
    "direction only",
    "inconclusive",
    "not reproduced",
    "contradicted",
    "below resolution",
    "invalid run",
    "calibrated",
    "not testable here",
    "shown, not judged",
    "not run",
]


class Verdict(Struct, frozen=True):
    word: Word
    direction: str = ""
    """What the interval says about the sign, in a few words."""
    size: str = ""
    """What it says about the claimed size."""
    reason: str = ""
    """Why, in one sentence, where the words need one."""


class GuardResult(Struct, frozen=True):
    name: str
    ok: bool
    detail: str


class Judgement(Struct, frozen=True, kw_only=True):
    system: str
    id: str
    by: Literal["paper", "remeasure", "other"]
    source: str
    """Who says it: the paper, or another named source."""
    statement: str
    where: str
    kind: str
    metric: str = ""
    unit: str = ""
    better: str = "higher"
    claimed: float | None = None
    estimate: float | None = None
    lo: float | None = None
    hi: float | None = None
    n: int = 0
    """Paired samples (users, rounds) behind the interval."""
    seeds: list[int] = []
    per_seed: list[float] = []
    """The estimate of each seed, to see the spread."""
    verdict: Verdict
    evidence: str = ""
    data: str = ""
    """`real` or `simulated`."""
    data_label: str = ""
    data_sha256: str = ""
    case: str = ""
    treatment: str = ""
    baseline: str = ""
    command: str = ""
    commit: str = ""
    dirty: bool = False
    environment: str = ""
    records: list[str] = []
    """Keys of the records it rests on."""
    guards: list[GuardResult] = []
    audit: str = ""
    how: str = ""
    """The method of the interval in one sentence."""
    headroom: dict[str, Any] = {}


class ArmSummary(Struct, frozen=True):
    """One arm's number on one metric of one case, over all its seeds."""

    arm: str
    role: str
    invalid: str
    mean: float
    lo: float
    hi: float
    n: int
    per_seed: list[float]
    series: str = ""
    x: float | None = None
    tuning: dict[str, Any] | None = None
    config: dict[str, Any] = {}


class Scatter(Struct, frozen=True):
    """Things by two of their numbers: what a round returned as `scatter` in its extras."""

    x: str
    """Name of the axis, with its unit."""
    y: str
    points: list[tuple[float, float, str, str]]
    """x, y, kind of thing (a colour), name."""
    lines: dict[str, float] = {}
    """Heights that are drawn across, by name."""


class CaseSummary(Struct, frozen=True):
    system: str
    case: str
    question: str
    metric: str
    unit: str
    better: str
    kind: str
    per: str
    evidence: str
    data: str
    data_label: str
    axis: str
    arms: list[ArmSummary]
    seeds: list[int]
    commit: str
    environment: str
    command: str
    lines: dict[str, float] = {}
    """Values drawn across the curves, by name."""
    scatter: Scatter | None = None
    """At the case's first metric, if a round returned one."""


class Noise(Struct, frozen=True):
    """An A/A control: the same arm against itself, which must not differ."""

    system: str
    case: str
    clock: str
    ratio: float
    lo: float
    hi: float
    n: int
    ok: bool


class FailureRow(Struct, frozen=True):
    system: str
    case: str
    seed: int
    kind: str
    message: str
    log_tail: str


class FigureRow(Struct, frozen=True):
    """A named number of a release: what `latest.json` carries and README quotes."""

    system: str
    name: str
    value: float
    unit: str
    lo: float | None = None
    hi: float | None = None
    n: int = 0
    target: str = ""
    met: bool | None = None
    evidence: str = ""
    data: str = ""
    case: str = ""
    arm: str = ""


class SystemRow(Struct, frozen=True):
    name: str
    title: str
    paper: str
    commit: str
    fingerprint: str
    date: str


class Report(Struct, frozen=True):
    """Everything the report shows; `report.json` is this, encoded."""

    schema: int
    profile: str
    generated_from: str
    """Hash of the records' keys: the same records give the same bytes."""
    date: str
    """Date of the latest record, never of rendering."""
    systems: list[SystemRow]
    environments: dict[str, Any]
    claims: list[Judgement]
    cases: list[CaseSummary]
    noise: list[Noise]
    failures: list[FailureRow]
    figures: list[FigureRow]
    notes: list[str] = []
    """Loud sentences: simulated data, budget ended, dirty tree."""
    release: dict[str, Any] | None = None
    """The committed `latest.json`, to stand beside this machine's numbers."""
    vanished: list[str] = []
    """Claims and figures the committed release has and this run lacks."""
