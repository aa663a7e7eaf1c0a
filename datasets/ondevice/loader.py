"""The declared workloads as data, and requests drawn from them.

There are no real files: the declaration is all there is, so everything here counts as simulated. numpy is imported
where it is needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

from remeasure.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Request:
    """How much to draw from the declared workloads."""

    requests: int = 64
    """Requests that a group of models gets."""
    seed: int = 2022
    """Seed of the order in which models are asked and lengths come."""


@dataclass(frozen=True)
class Step:
    """One model's part of an agent's work."""

    model: str
    prompt: int
    """Tokens of the prompt."""
    fixed: int
    """Those of them that are the agent's own text, the same in every run."""
    new: int
    """Tokens generated."""
    why: str


@dataclass(frozen=True)
class Workflow:
    """An agent: models that work one after the other."""

    name: str
    what: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Group:
    """Models that share a device."""

    name: str
    models: tuple[str, ...]


@dataclass(frozen=True)
class Lengths:
    """Lognormal prompt length in tokens, without the chat template."""

    name: str
    median: float
    spread: float
    """Standard deviation of the logarithm."""
    median_range: tuple[float, float]
    """Factors on the median between which the truth is believed to lie."""
    new_tokens: int
    """Tokens that an answer has."""
    source: str


@dataclass(frozen=True)
class Hour:
    """How often agents are started, and the memory that other applications hold meanwhile."""

    runs_per_hour: float
    """Starts of each agent."""
    pressure_gb: tuple[float, ...]
    """Levels, one after the other, again from the start."""
    pressure_s: float
    """How long one lasts."""
    cache_gib: float
    """What may be kept of models that are not being served."""


@dataclass(frozen=True, eq=False)
class Stream:
    """Requests to a group: `model` int64 [requests] is an index into `group.models`; `normal` float64 [requests]."""

    group: Group
    lengths: Lengths
    model: np.ndarray
    normal: np.ndarray
    """Normal quantiles that lengths are made of, so that another median moves the same requests."""
    template_tokens: int
    shortest_tokens: int
    longest_tokens: int

    def prompt_tokens(self, factor: float = 1.0) -> np.ndarray:
        """Prompt tokens int64 [requests], the chat template included, with the median times `factor`."""
        import numpy as np

        text = self.lengths.median * factor * np.exp(self.lengths.spread * self.normal)
        whole = np.rint(self.template_tokens + text).astype(np.int64)
        return np.clip(whole, self.shortest_tokens, self.longest_tokens)


@dataclass(frozen=True, eq=False)
class Workloads:
    """What is declared, and the streams drawn from it."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    prompt_grid: tuple[int, ...]
    background_grid: tuple[float, ...]
    models: tuple[str, ...]
    """Models of the pressure grid, in the figure's order."""
    cache_gib: float
    """What a group of models may keep in memory."""
    agent_runs: int
    """Runs of an agent, the first of which finds nothing in memory."""
    app_rounds: int
    """Rounds of application and prompt by turns, the first of which finds nothing in memory."""
    hour: Hour
    workflows: tuple[Workflow, ...]
    groups: tuple[Group, ...]
    lengths: tuple[Lengths, ...]
    streams: tuple[Stream, ...]
    """One for each group and each distribution, groups outermost."""

    def workflow(self, name: str) -> Workflow:
        return next(w for w in self.workflows if w.name == name)

    def stream(self, group: str, lengths: str) -> Stream:
        return next(s for s in self.streams if (s.group.name, s.lengths.name) == (group, lengths))


def load(request: Request, root: Path | None) -> Workloads:
    """The declared workloads and streams of `request.requests` requests; the same seed gives the same streams.

    Raises UserError for a folder (there are no files to read) and for fewer than one request.
    """
    if root is not None:
        raise UserError("ondevice has no files to read: leave out the folder, and the declaration serves.")
    if request.requests < 1:
        raise UserError(f"ondevice: {request.requests} requests cannot be drawn; ask for at least one.")
    raw = tomllib.loads(Path(__file__).with_name("workloads.toml").read_text(encoding="utf-8"))
    groups = tuple(Group(group["name"], tuple(group["models"])) for group in raw["group"])
    lengths = tuple(
        Lengths(**{**entry, "median_range": tuple(entry["median_range"])}) for entry in raw["lengths"]
    )
    return Workloads(
        label=f"declared workloads, {request.requests} requests a group",
        simulated=True,
        notes=("ondevice is declared, not observed: the paper discloses neither agents nor prompt lengths.",),
        prompt_grid=tuple(raw["grid"]["prompt_tokens"]),
        background_grid=tuple(float(gb) for gb in raw["grid"]["background_gb"]),
        models=tuple(raw["grid"]["models"]),
        cache_gib=float(raw["grid"]["cache_gib"]),
        agent_runs=raw["grid"]["agent_runs"],
        app_rounds=raw["grid"]["app_rounds"],
        hour=Hour(**{**raw["hour"], "pressure_gb": tuple(map(float, raw["hour"]["pressure_gb"]))}),
        workflows=tuple(_workflow(entry) for entry in raw["workflow"]),
        groups=groups,
        lengths=lengths,
        streams=tuple(
            _stream(group, law, request, raw["prompts"], (at, nth))
            for at, group in enumerate(groups)
            for nth, law in enumerate(lengths)
        ),
    )


def _workflow(entry: dict[str, Any]) -> Workflow:
    return Workflow(entry["name"], entry["what"], tuple(Step(**step) for step in entry["step"]))


def _stream(
    group: Group, law: Lengths, request: Request, prompts: dict[str, int], key: tuple[int, int]
) -> Stream:
    """Requests of one group in random order; each model gets its share of them and evenly spaced quantiles.

    So few requests show the means that many independent draws would have.
    """
    import numpy as np

    rng = np.random.default_rng([request.seed, *key])
    model = np.arange(request.requests) % len(group.models)
    normal = np.empty(request.requests)
    for index in range(len(group.models)):
        mine = model == index
        count = int(mine.sum())
        normal[mine] = [NormalDist().inv_cdf((rank + 0.5) / count) for rank in range(count)]
    order = rng.permutation(request.requests)
    return Stream(group, law, model[order], normal[order], **prompts)
