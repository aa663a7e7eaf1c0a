"""What judging yields: one judgement a claim, one summary an arm; the report and latest.json are made of these."""

from __future__ import annotations

from typing import Any, Literal

from ..struct import Struct
from .coverage_table import Row

CONFIDENCE = 0.95
ALPHA = 1 - CONFIDENCE

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
    """Independent units behind the interval: processes of a time, seeds of a simulation, judged units of a quality."""
    seeds: list[int] = []
    """A block each: of times a process."""
    per_seed: list[float] = []
    """The estimate of each block, to see the spread."""
    spread: Literal["interval", "range", "none"] = "interval"
    """What `lo` and `hi` are: an interval that covers, a model's range over draws, or nothing."""
    rounds: int = 0
    """The fewest rounds of a process, of times."""
    units: int = 0
    """Judged units, of quality."""
    per: str = ""
    """What such a unit is: user, query, document."""
    design_effect: float | None = None
    """Variance of the estimate against that of as many independent samples."""
    detectable: float | None = None
    """The smallest effect that would have been found in 4 of 5 repeats: a ratio above 1, or a difference."""
    p: float | None = None
    """Two-sided, against 1, 0 or the limit; only for what is said of all words of a report together."""
    beyond: str = ""
    """Which way seeds that the profile does not name came in: `--seed` or `precision`."""
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
    spread: Literal["interval", "range", "none"] = "interval"
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
    """Processes."""
    ok: bool
    detail: str = ""
    """Why not, in a sentence."""


class Chance(Struct, frozen=True):
    """What to think of all words of a report together."""

    judged: int
    """Words that follow from an interval."""
    tested: int
    """Those with a p: ratios, differences, bounds and orders."""
    left_out: int
    """Those without: values, properties, ranges, exact numbers."""
    expected_wrong: float
    """Of the tested, how many intervals miss the truth by chance."""
    significant: int
    """Tested words whose interval excludes 1, 0 or the limit."""
    survive: int
    """Those that still do by Benjamini and Hochberg's procedure."""


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
    spread: Literal["interval", "range", "none"] = "none"
    n: int = 0
    target: str = ""
    met: bool | None = None
    evidence: str = ""
    data: str = ""
    data_sha256: str = ""
    invalid: str = ""
    """Which guard refused it, and why; empty where all passed."""
    case: str = ""
    arm: str = ""


class SystemRow(Struct, frozen=True):
    name: str
    title: str
    paper: str
    commit: str
    fingerprint: str
    date: str
    generated_from: str = ""
    """Hash of its records' contents; empty in a report made before it was written."""


class Report(Struct, frozen=True):
    """Everything the report shows; `report.json` is this, encoded."""

    schema: int
    profile: str
    generated_from: str
    """Hash of the records' contents, a system at a time: the same records give the same bytes."""
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
    chance: Chance | None = None
    """All words together; None in reports made before it was counted."""
    coverage: list[Row] = []
    """How often the intervals cover where the truth is known, as it was simulated for this code."""
    vanished: list[str] = []
    """Claims and figures the committed release has and this run lacks."""
