"""Checks that can make a run invalid. One function a guard; None means that it does not apply.

Guards come before every verdict: a number that fails one is shown, and its word is `invalid run`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..records.packages import SHOWN
from ..records.provenance import UNKNOWN
from ..records.record import Environment, MetricRecord, Record
from ..running.measure import PER_SECOND
from .allowed import BIAS_ALLOWED, WIDTH_ALLOWED
from .intervals import Interval, Part, half_width
from .judged import GuardResult
from .samples import Samples

SHORTEST_S = 1e-3
NARROWER = 0.90
MOST_PROCESSES = 1000
"""Nobody would measure more to narrow a control."""


@dataclass(frozen=True)
class Subject:
    """What a number rests on: everything that a guard looks at."""

    records: tuple[Record, ...]
    """Finished blocks, one a seed."""
    metric: str
    arms: tuple[str, ...]
    """Arms that enter the number; of two or more the samples are paired."""
    kind: str = "value"
    """The claim's kind."""
    failures: tuple[Record, ...] = ()
    """Failed blocks of the same case and profile."""
    environments: Mapping[str, Environment] = field(default_factory=dict)
    releasing: bool = False
    deterministic: bool = False
    """The case gives the same numbers with every seed."""

    @property
    def meta(self) -> MetricRecord:
        return self.records[0].metrics[self.metric]

    @property
    def samples(self) -> Samples:
        return Samples(self.records, self.metric, self.deterministic)

    @property
    def timed(self) -> bool:
        return self.meta.kind == "time"


Guard = Callable[[Subject], GuardResult | None]


def contract(subject: Subject) -> GuardResult:
    """The contract tests of all arms passed."""
    refused = [record for record in subject.records if record.contract != "passed"]
    if refused:
        return _refused(
            "contract", f"{_seeds(refused)}: {refused[0].contract or 'contract tests did not run'}"
        )
    return _passed("contract", "contract tests of all arms passed")


def data_hash(subject: Subject) -> GuardResult:
    """The data are the published ones; a user's own directory has no published hash, and that is said."""
    data = [record.data for record in subject.records if record.data]
    wrong = [used for used in data if not used.verified and used.origin != "directory"]
    if wrong:
        return _refused("data hash", f"the files of {wrong[0].name} are not exactly those of its data card")
    if any(not used.verified for used in data):
        return _passed("data hash", "your own data, no published hash")
    if any(used.kind == "simulated" for used in data):
        return _passed("data hash", "made by the declared simulator")
    return _passed("data hash", "agrees with the data card" if data else "needs no data")


def same_data(subject: Subject) -> GuardResult:
    """All seeds ran on the same data."""
    used = {(r.data.name, r.data.kind, r.data.sha256) if r.data else None for r in subject.records}
    if len(used) > 1:
        return _refused("same data", "the seeds ran on different data; run the case again")
    return _passed("same data", "all seeds on the same data")


def same_environment(subject: Subject) -> GuardResult:
    """All seeds ran in the same environment: machine, python, packages that a result may depend on."""
    shas = {record.provenance.environment for record in subject.records}
    needed = {name for record in subject.records for name in record.provenance.packages or SHOWN}
    if len({_relevant(subject.environments.get(sha), sha, needed) for sha in shas}) > 1:
        detail = "the seeds ran in different environments; `remeasure clean`, then run the case again"
        return _refused("same environment", detail)
    return _passed("same environment", "all arms of a seed in one process, all seeds in one environment")


def same_code(subject: Subject) -> GuardResult:
    """All seeds were measured by the same code."""
    if len({record.provenance.fingerprint for record in subject.records}) > 1:
        return _refused("same code", "the seeds were measured by different code; run the case again")
    return _passed("same code", "all seeds measured by the same code")


def noise(subject: Subject) -> GuardResult | None:
    """An arm against itself shows no difference, and shows it sharply enough."""
    if not subject.timed:
        return None
    try:
        interval = subject.samples.noise()
    except ValueError as error:
        return _refused("A/A control", str(error))
    if interval is None:
        return _refused(
            "A/A control", "no twin of the strawman ran: a single round, or a single arm, has no control"
        )
    return control(interval, subject.meta.clock)


def control(interval: Interval, clock: str) -> GuardResult:
    """What an A/A interval allows; one process has none, and its word is held back for that reason already."""
    measured = f"{interval.estimate:.3f}"
    if interval.kind == "none":
        return _passed("A/A control", f"{measured}, one process")
    measured += f" [{interval.lo:.3f}, {interval.hi:.3f}]"
    bias, width = BIAS_ALLOWED[clock], WIDTH_ALLOWED[clock]
    if interval.lo > 1 + bias or interval.hi < 1 - bias:
        return _refused("A/A control", f"A/A biased: {measured} lies outside 1 ± {bias:g}")
    low, high = interval.at(NARROWER)
    if low < 1 - width or high > 1 + width:
        detail = f"A/A too wide: {measured}, its 90 % interval must be within 1 ± {width:g}"
        return _refused(
            "A/A control", f"{detail}; about {needed_processes(interval, width)} processes needed"
        )
    return _passed("A/A control", f"{measured}, within 1 ± {width:g} and not outside 1 ± {bias:g}")


def needed_processes(interval: Interval, width: float) -> int:
    """How many processes that differ as these do would make a 90 % interval within 1 ± width around 1."""
    spread = math.sqrt(interval.parts[0].variance * interval.n)
    allowed = math.log1p(width)
    for count in range(max(2, interval.n), MOST_PROCESSES):
        if half_width((Part(spread**2 / count, count - 1),), NARROWER) <= allowed:
            return count
    return MOST_PROCESSES


def long_enough(subject: Subject) -> GuardResult | None:
    """Of times: each sample takes at least 1 ms."""
    if not subject.timed:
        return None
    blocks = [block for arm in subject.arms for block in subject.samples.of(arm)]
    detail, ok = f"{len(subject.records)} processes", True
    # Of a number per call or per token the timer saw many at once, so only plain durations are looked at.
    per_second = PER_SECOND.get(subject.meta.unit)
    if per_second and blocks:
        shortest = min(block.min() for block in blocks) / per_second
        ok = bool(shortest >= SHORTEST_S)
        detail = f"the shortest sample takes {shortest * 1e3:.2g} ms" + ("" if ok else ", 1 ms needed")
    if any(record.budget_ended for record in subject.records):
        detail += "; the budget ended before all rounds had run"
    return _result("long enough", ok, detail)


def whole_samples(subject: Subject) -> GuardResult:
    """Every arm has a finite value for the same users or rounds; ratios have positive ones."""
    for record in subject.records:
        samples = record.samples.get(subject.metric, {})
        values = [samples.get(arm, []) for arm in subject.arms]
        problem = ""
        if not all(values):
            problem = "an arm has no samples"
        elif len({len(column) for column in values}) > 1:
            problem = f"the arms have {' and '.join(str(len(column)) for column in values)} samples"
        elif not np.isfinite(values).all():
            problem = "a sample is not finite"
        elif (len(values) > 1 or subject.timed) and not _comparable(subject, values):
            problem = "a ratio needs positive samples"
        if problem:
            return _refused("whole samples", f"seed {record.seed}: {problem}")
    return _passed("whole samples", "every arm has a value for the same samples")


def no_failure(subject: Subject) -> GuardResult:
    """No block of the case failed: a result may not be what is left after failures."""
    if subject.failures:
        first = subject.failures[0].failure
        what = f"{first.kind}: {first.message}" if first else "failed"
        return _refused("no failure", f"{_seeds(subject.failures)} failed ({what})")
    return _passed("no failure", "no block of the case failed")


def honest_arms(subject: Subject) -> GuardResult:
    """No arm of the number is a negative control."""
    for record in subject.records:
        for arm in subject.arms:
            if arm in record.arms and record.arms[arm].invalid:
                return _refused("honest arms", f"{arm}: {record.arms[arm].invalid}")
    return _passed("honest arms", "no arm is a negative control")


def clean_tree(subject: Subject) -> GuardResult | None:
    """For a release: every block was measured by one commit, with nothing uncommitted."""
    if not subject.releasing:
        return None
    commits = sorted({record.provenance.commit for record in subject.records})
    dirty = [record for record in subject.records if record.provenance.dirty]
    if dirty:
        return _refused("clean tree", f"{_seeds(dirty)} ran with uncommitted changes")
    if len(commits) > 1 or commits[0] in ("", UNKNOWN):
        made_by = " and ".join(commit or UNKNOWN for commit in commits)
        return _refused("clean tree", f"made by {made_by}, not by one known commit")
    return _passed("clean tree", "one commit, nothing uncommitted")


GUARDS: tuple[Guard, ...] = (
    contract,
    data_hash,
    same_data,
    same_environment,
    same_code,
    no_failure,
    honest_arms,
    whole_samples,
    long_enough,
    noise,
    clean_tree,
)


WITHOUT_A_METRIC: tuple[Guard, ...] = (
    contract,
    data_hash,
    same_environment,
    same_code,
    no_failure,
    clean_tree,
)
"""Those that a property passes, which has no samples."""


def run_guards(subject: Subject, guards: Iterable[Guard] = GUARDS) -> list[GuardResult]:
    """Every guard that applies, in order."""
    return [result for result in (guard(subject) for guard in guards) if result is not None]


def _comparable(subject: Subject, values: Iterable[list[float]]) -> bool:
    """Whether the samples can be put into a ratio, where that is how they are compared."""
    if subject.meta.kind == "time" or (subject.kind != "difference" and subject.meta.kind == "virtual-time"):
        return all(min(column) > 0 for column in values)
    return subject.kind != "ratio" or all(sum(column) > 0 for column in values)


def _relevant(environment: Environment | None, sha: str, needed: Iterable[str]) -> Any:
    """What of an environment may change a number; all of it (the hash) where the record is missing.

    needed: the packages that the system imports.
    """
    if environment is None:
        return sha
    return (
        environment.python,
        tuple(environment.packages.get(name) for name in sorted(needed)),
        str(environment.blas),
        environment.cpu_model,
        environment.cores,
        environment.affinity,
        environment.cgroup_cpu,
        tuple(sorted(environment.threads.items())),
    )


def _seeds(records: Iterable[Record]) -> str:
    seeds = [str(record.seed) for record in records]
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}"


def _result(name: str, ok: bool, detail: str) -> GuardResult:
    return GuardResult(name=name, ok=ok, detail=detail)


def _passed(name: str, detail: str) -> GuardResult:
    return _result(name, True, detail)


def _refused(name: str, detail: str) -> GuardResult:
    return _result(name, False, detail)
