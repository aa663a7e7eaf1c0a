"""Is a planted difference found, and none where there is none? `python -m remeasure.judging.planted`.

A trial measures 10 ms of CPU against 10 % more of it, in processes of their own beside busy loops, and judges the two
as any claim of a time is judged. As many trials follow whose arms do the same: a clear direction is a false alarm.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import msgspec

from ..contracts import Arm, At, Case, Metric
from ..declared.claims import Claim
from ..records.record import ArmRecord, MetricRecord, Provenance, Record
from ..running.blocks import LOOKS
from ..running.measure import measure
from ..running.messages import Budget
from ..running.overhead import ROUND_NS, burn, steps_of
from .judged import GuardResult

if TYPE_CHECKING:
    from .intervals import Interval

BUSY = "import os, sys\nwhile os.getppid() == int(sys.argv[1]):\n    for _ in range(1_000_000): pass"
"""Ends by itself where whoever started it is gone."""
WIDTH = 0.10
"""Relative half-width above which processes are added."""
GOAL = 0.9
"""Share of the planted trials whose direction should be clear."""
LESS, MORE = "less work", "more work"
CPU = Metric("CPU", unit="s", better="lower", kind="time", per="round")
CLAIM = Claim("less", "It takes less time", "here", "bound", "measured", "cpu", "", MORE, LESS, margin=0.0)
"""Only the sign is claimed."""


@dataclass(frozen=True)
class Work:
    """What one process measures."""

    steps: int
    """Of arithmetic in the strawman's round: counted, not timed, so that every process does the same."""
    effect: float
    """How many times that the treatment does."""
    rounds: int
    seed: int


@dataclass(frozen=True)
class Found:
    """What some processes say of the two arms."""

    word: str
    guard: GuardResult
    """The A/A control."""
    ratio: Interval
    """> 1 would favour the treatment."""
    too_wide: tuple[str, ...]
    """What more processes should narrow."""

    @property
    def direction(self) -> int:
        """1 for the treatment, −1 against it, 0 where it is not clear or the A/A control forbids to say so."""
        return {"reproduced": 1, "contradicted": -1}.get(self.word, 0) if self.guard.ok else 0


@dataclass(frozen=True)
class Trial:
    """What became of a trial, and what it cost."""

    effect: float
    found: Found
    cpu_s: float
    """Of its processes from start to end, without the busy loops."""
    wall_s: float
    load: float
    """Of the machine over the minute before the trial ended."""

    @property
    def right(self) -> bool:
        """It says the direction that was planted."""
        return self.found.direction == (self.effect < 1) - (self.effect > 1) != 0


def case_of(work: Work) -> Case:
    """The arms differ in nothing but how many steps they take."""

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
        return partial(burn, arm.config["steps"])

    more = {"steps": round(work.steps * work.effect)}
    arms = (Arm(LESS, "strawman", {"steps": work.steps}), Arm(MORE, "reference", more))
    profiles = {"planted": At(rounds=work.rounds, precision={CPU.name: WIDTH})}
    return Case("cpu", "?", prepare, "none", None, arms, (CPU,), profiles, system="planted")


def record(work: Work, block: Mapping[str, Any]) -> Record:
    """As a worker's; block: samples, order and twin_of. Where it ran plays no part here."""
    case = case_of(work)
    return Record(
        key=f"planted-{work.seed}",
        system=case.system,
        case=case.name,
        profile="planted",
        seed=work.seed,
        status="ok",
        evidence="measured",
        data=None,
        arms={arm.name: ArmRecord(arm.role, arm.config) for arm in case.arms},
        metrics={CPU.name: MetricRecord(CPU.unit, CPU.better, CPU.kind, CPU.clock, CPU.per)},
        contract="passed",
        provenance=Provenance("", "", "", "", "", "", 0.0, 0.0, 0.0, 0.0, 0.0),
        **block,
    )


def judge(case: Case, records: Sequence[Record]) -> Found:
    """As any claim is judged: the A/A control, the interval, its word, and whether it is narrow enough."""
    # Imported here, so that the processes that measure do without scipy.
    from .guards import control
    from .kinds import assess
    from .precision import too_wide
    from .samples import Samples

    samples = Samples(tuple(records), CPU.name)
    assessed, noise = assess(CLAIM, samples), samples.noise()
    if noise is None:
        raise ValueError("no twin ran")
    wide = tuple(too_wide(case, [CLAIM], records, "planted"))
    return Found(assessed.verdict.word, control(noise, CPU.clock), assessed.effect.interval, wide)


def trial(work: Work, budget_s: float) -> Trial:
    """Processes in turn, until a look at them finds them narrow enough, it was the last look, or time is up."""
    start, of_children, budget = time.monotonic(), sum(os.times()[2:4]), Budget(budget_s)
    records: list[Record] = []
    for look in LOOKS:
        records += _processes(replace(work, seed=work.seed + len(records)), look - len(records), budget)
        if not records:
            sys.exit(f"No process ended within {budget_s:g} s; give a trial more with --budget.")
        found = judge(case_of(work), records)
        if not found.too_wide or len(records) < look:
            break
    used, wall = sum(os.times()[2:4]) - of_children, time.monotonic() - start
    return Trial(work.effect, found, used, wall, os.getloadavg()[0])


def _processes(work: Work, count: int, budget: Budget) -> Iterator[Record]:
    """So many more, or fewer where time is up."""
    for index in range(count):
        own, env = replace(work, seed=work.seed + index), {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "remeasure.judging.planted", "--process", json.dumps(asdict(own))]
        try:
            printed = subprocess.check_output(command, env=env, timeout=budget.left())
        except subprocess.TimeoutExpired:
            return
        yield record(own, json.loads(printed))


@contextmanager
def beside(loops: int) -> Iterator[None]:
    """So many busy loops run meanwhile."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for _ in range(loops):
            started.append(subprocess.Popen([sys.executable, "-c", BUSY, str(os.getpid())]))
        yield
    finally:
        for loop in started:
            loop.kill()
            loop.wait()


def summary(trials: Sequence[Trial]) -> dict[str, str]:
    """What trials of one effect came to, row by row."""
    found, planted, of = [one.found for one in trials], 1 / trials[0].effect, f"of {len(trials)}"
    right, biased = sum(one.right for one in trials), sum("biased" in one.guard.detail for one in found)
    return {
        "clear, as planted": f"{right} {of}" if planted != 1 else "–",
        "false alarms": f"{sum(one.direction != 0 for one in found) - right} {of}",
        "invalid: A/A biased": f"{biased} {of}",
        "invalid: A/A too wide": f"{sum(not one.guard.ok for one in found) - biased} {of}",
        "intervals that cover": f"{sum(one.ratio.lo <= planted <= one.ratio.hi for one in found)} {of}",
        "ratio, mean": f"{mean(one.ratio.estimate for one in found):.4f}, planted {planted:.4f}",
        "half-width": _spread([(one.ratio.hi / one.ratio.lo) ** 0.5 - 1 for one in found], 3),
        "processes a trial": _spread([one.ratio.n for one in found], 0),
        "CPU s a trial": _spread([one.cpu_s for one in trials], 1),
        "wall s a trial": _spread([one.wall_s for one in trials], 1),
        "load": _spread([one.load for one in trials], 1),
    }


def _spread(values: Sequence[float], digits: int) -> str:
    least, middle, most = (f"{value:.{digits}f}" for value in (min(values), mean(values), max(values)))
    return f"{middle} ({least} to {most})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Is a planted difference found, and none where none is?")
    option = parser.add_argument
    option("--trials", type=int, default=20, help="of each kind")
    option("--busy", type=int, default=2, help="busy loops beside them")
    option("--budget", type=float, default=180.0, help="seconds a trial")
    option("--effect", type=float, default=1.10, help="how many times the work the treatment does")
    option("--rounds", type=int, default=10, help="of a process")
    option("--seed", type=int, default=0)
    option("--json", type=Path, metavar="FILE", help="where to write all trials too")
    option("--process", type=json.loads, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.process:
        work = Work(**given.process)
        block = measure(case_of(work), None, work.seed, work.rounds)
        print(json.dumps({name: getattr(block, name) for name in ("samples", "order", "twin_of")}))
        return
    kinds: dict[str, list[Trial]] = {f"× {given.effect:g}": [], "A/A": []}
    work = Work(steps_of(ROUND_NS), given.effect, given.rounds, given.seed)
    with beside(given.busy):
        for (name, trials), effect in zip(kinds.items(), (given.effect, 1.0), strict=True):
            for index in range(given.trials):
                trials.append(trial(replace(work, effect=effect), given.budget))
                work = replace(work, seed=work.seed + LOOKS[-1])
                print(f"{name} {index + 1}: {trials[-1]}", file=sys.stderr, flush=True)
    columns = {name: summary(trials) for name, trials in kinds.items()}
    for row in ("", *columns["A/A"]):
        print(f"{row:22}" + "".join(f"{column.get(row, name):>30}" for name, column in columns.items()))
    if given.json:
        told = {"work": work, "busy": given.busy, "summary": columns, "trials": kinds}
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2))
    planted, same = kinds.values()
    missed = sum(one.right for one in planted) < GOAL * given.trials
    sys.exit(missed or any(one.found.direction for one in same))


if __name__ == "__main__":
    main()
