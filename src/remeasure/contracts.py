"""What a system declares: metrics, arms, cases. The only part of the harness that a system imports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Role = Literal["strawman", "optimized", "reference", "ablation", "control"]
Evidence = Literal["measured", "scaled", "modelled"]
Prepare = Callable[[Any, Any, int], Callable[[], Any]]


@dataclass(frozen=True)
class Metric:
    """What one number means."""

    name: str
    """The field's word, e.g. NDCG@10, TTFT."""
    unit: str
    """Unit of one sample; empty for a pure number."""
    better: Literal["lower", "higher"]
    kind: Literal["time", "quality", "count", "virtual-time"]
    """time: a clock; quality: one value per judged unit; count: exact; virtual-time: a simulator's clock."""
    clock: Literal["cpu", "wall"] = "cpu"
    """Which clock times it; process CPU time unless the work waits by nature."""
    per: str = "seed"
    """What one sample stands for: round, user, query, document, seed; draw: a model run on inputs drawn within
    their tolerances, where the interval is the spread of the draws."""
    exact: bool = True
    """False where the same seed may give another number though no clock is read, such as a peak of memory."""

    @property
    def judges_units(self) -> bool:
        """Whether a sample stands for a judged unit (user, query, document)."""
        return self.kind == "quality" and self.per not in ("seed", "round")

    @property
    def repeats(self) -> bool:
        """Whether the same seed must give the same number."""
        return self.exact and self.kind != "time"


@dataclass(frozen=True)
class Tuning:
    """The tuning an arm was given before it was measured, so that baselines can be seen to be fair."""

    space: Mapping[str, tuple[Any, ...]]
    """The values tried, a field each."""
    trials: int
    """How many configurations were judged."""
    judged_on: str
    """The data that chose, never the data that is reported."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen."""


@dataclass(frozen=True)
class Arm:
    """A named, configured implementation inside a case."""

    name: str
    role: Role
    config: Any
    """A frozen dataclass whose fields are documented; everything that changes the result is in it."""
    tuning: Tuning | None = None
    invalid: str = ""
    """Why no result of this arm may enter a verdict (negative controls); empty for an honest arm."""
    series: str = ""
    """The curve this arm is a point of, if any."""
    x: float | None = None
    """Where on the curve's axis it stands."""


@dataclass(frozen=True)
class At:
    """How a case runs in one profile."""

    seeds: tuple[int, ...] = (2022,)
    """One block a seed; each block is a process of its own."""
    rounds: int = 1
    """Rounds a block; a word about a time needs 5 of them in each of 5 blocks."""
    set: Mapping[str, Any] = field(default_factory=dict)
    """Fields replaced in the data request and in every arm's config that has them."""
    evidence: Evidence = "measured"
    """`scaled` where this profile runs smaller than the paper's setting."""
    arms: tuple[str, ...] | None = None
    """Names of the arms that run; None is all of them."""
    precision: Mapping[str, float] = field(default_factory=dict)
    """Metric → half-width that the interval of every pair a claim compares should have (relative for ratios, else in
    the metric's unit). Where it is wider, the next unused seeds are added, up to 27, as far as the budget goes."""


@dataclass(frozen=True)
class Case:
    """One measured question: arms × data × parameters, run once, giving one or several metrics.

    `prepare(arm, data, seed)` does what must not be timed and returns what a round runs. A round returns
    None or a mapping from metric name to a number or an array of numbers (one per judged unit). A time
    metric that the round does not return is the duration of the round. Beside metrics it may return `extras`,
    plain JSON to be drawn, and once a block `units`, the ids of the judged units in the order of the numbers, with
    `clusters`, the larger unit that each lies in; where a case judges units of several kinds, a mapping by kind.
    """

    name: str
    question: str
    prepare: Prepare
    dataset: str
    request: Any
    """The data set's frozen `Request`: what to load."""
    arms: tuple[Arm, ...]
    metrics: tuple[Metric, ...]
    """The first one is what a claim means when it names none."""
    profiles: Mapping[str, At]
    """The profiles this case is part of; `tiny` is what contract tests run on the simulator."""
    system: str = ""
    """Filled in by discovery from the folder."""
    timeout_s: float = 3600.0
    memory_mb: float = 8000.0
    fresh: bool = False
    """True: prepare again before every round (evicted caches, released memory)."""
    isolated: bool | None = None
    """True: no other block runs beside it. None: exactly when the harness times the rounds."""
    simulated: bool = False
    """True: always measured on the declared simulator (curves over sizes that no real data have)."""
    times_itself: bool = False
    """True: rounds return times of their own, the twin's rounds too. Else the harness times every round."""
    axis: str = ""
    """Name of the x axis where arms are points of curves."""
    lines: Mapping[str, float] = field(default_factory=dict)
    """Values of the first metric that are drawn across its curves, by name: where a claim begins to hold."""
    tags: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return f"{self.system}/{self.name}"

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)

    def metric(self, name: str = "") -> Metric:
        return next(m for m in self.metrics if m.name == name) if name else self.metrics[0]

    @property
    def timed(self) -> tuple[Metric, ...]:
        return tuple(m for m in self.metrics if m.kind == "time")


def case(
    *,
    dataset: str,
    request: Any,
    arms: Sequence[Arm],
    metrics: Sequence[Metric],
    profiles: Mapping[str, At],
    name: str = "",
    **options: Any,
) -> Callable[[Prepare], Case]:
    """Declare a case; the function's name (underscores as hyphens) is its name, its docstring the question."""

    def declare(prepare: Prepare) -> Case:
        return Case(
            name=name or prepare.__name__.replace("_", "-"),
            question=" ".join((prepare.__doc__ or "").split()),
            prepare=prepare,
            dataset=dataset,
            request=request,
            arms=tuple(arms),
            metrics=tuple(metrics),
            profiles=dict(profiles),
            **options,
        )

    return declare


def in_system(declared: Case, system: str) -> Case:
    """The same case, knowing which system's folder it was found in."""
    return replace(declared, system=system)


@dataclass(frozen=True)
class Workspace:
    """What a command of a system gets from the harness."""

    load: Callable[[str, Any], Any]
    """load(data set, request): the data, real where they are in reach, else simulated and said so."""
    out: Any
    """Folder (Path) that the command writes to."""
    settings: Mapping[str, str]
    """What the user set with --set, as text."""
    report: Callable[[str], None]
    """Tells the user what goes on, one line a step."""


@dataclass(frozen=True)
class Command:
    """Something a system can do beside being measured: `remeasure do SYSTEM COMMAND`."""

    name: str
    help: str
    run: Callable[[Workspace], Sequence[Any]]
    """Does it and returns the paths it wrote."""
