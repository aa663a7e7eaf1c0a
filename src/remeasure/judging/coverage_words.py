"""How often a word is given that the truth just fails to earn: the truth lies at the limit which the word needs.

The words are those of `kinds.assess`: everything from the interval on is what judges real samples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from ..declared.claims import Claim, Kind
from ..records.record import MetricRecord
from . import rules
from .coverage_cells import SELDOM, Cell, Hits, Rng
from .coverage_table import What
from .coverage_times import NOISES, ROUNDS, by_processes, rounds_of_arms, size_of
from .coverage_units import crossed, differences, seeds_of
from .estimates import of_seeds
from .intervals import Interval
from .kinds import assess
from .samples import Effect, Samples

PROCESSES, OFFSET = 8, 0.04
UNITS, SEEDS, SEED_SD = 200, 3, 0.008
TIME = MetricRecord(unit="s", better="lower", kind="time", per="round")
QUALITY = MetricRecord(unit="", better="higher", kind="quality", per="user")
SIMULATED = MetricRecord(unit="s", better="lower", kind="virtual-time")
COUNTED: Mapping[What, tuple[str, ...]] = {
    "reproduced": ("reproduced", "reproduced, stronger"),
    "contradicted": ("contradicted",),
}
Compared = Mapping[tuple[str, str], Interval]
"""The interval of every pair of arms, the better one first; of an arm alone with an empty name."""
Draw = Callable[[Sequence[float], Rng, int], Iterable[Compared]]
"""Truths (by how much each arm is better than the next), so many data sets → what is found of each."""


@dataclass(frozen=True)
class Known(Samples):
    """Samples of which only the effects are asked, and these are given."""

    described: MetricRecord = TIME
    found: Mapping[tuple[str, str], Effect] = field(default_factory=dict)

    @property
    def meta(self) -> MetricRecord:
        return self.described

    def ratio(self, treatment: str, baseline: str) -> Effect:
        return self.found[treatment, baseline]

    def difference(self, treatment: str, baseline: str) -> Effect:
        return self.found[treatment, baseline]

    def level(self, arm: str, *, fixed: bool = False) -> Effect:
        return self.found[arm, ""]

    def noise(self) -> None:
        """No control: the resolution is the smallest there is, so that the limit is known."""
        return None


def words(claim: Claim, meta: MetricRecord, found: Iterable[Compared]) -> Iterator[str]:
    """The word that the claim is given on each data set."""
    for compared in found:
        effects = {
            pair: Effect(interval, (0.0,) * max(interval.n, SEEDS), "", rounds=ROUNDS)
            for pair, interval in compared.items()
        }
        yield assess(claim, Known((), "", described=meta, found=effects)).verdict.word


def of_times(noise: str) -> Draw:
    def draw(truths: Sequence[float], rng: Rng, draws: int) -> Iterator[Compared]:
        logs = rounds_of_arms(rng, (draws, len(truths) + 1, PROCESSES, ROUNDS), OFFSET, noise)
        logs += np.cumsum([0.0, *np.log(truths)])[:, None, None]
        return _pairs(len(truths) + 1, lambda better, worse: by_processes(logs[:, worse] - logs[:, better]))

    return draw


def of_quality(truths: Sequence[float], rng: Rng, draws: int) -> Iterator[Compared]:
    values = differences(rng, (draws, len(truths) + 1, UNITS, SEEDS), SEED_SD / 2**0.5) / 2**0.5
    values -= np.cumsum([0.0, *truths])[:, None, None]
    return _pairs(len(truths) + 1, lambda better, worse: crossed(values[:, better] - values[:, worse]))


def of_simulations(seeds: int, sigma: float) -> Draw:
    """One arm alone; its mean is 1."""

    def draw(truths: Sequence[float], rng: Rng, draws: int) -> Iterator[Compared]:
        values = seeds_of(rng, (draws, seeds), sigma) / np.exp(sigma**2 / 2)
        return ({("a", ""): of_seeds(of_one)} for of_one in values)

    return draw


def _pairs(arms: int, compare: Callable[[int, int], list[Interval]]) -> Iterator[Compared]:
    pairs = list(combinations(range(arms), 2))
    names = [("abc"[better], "abc"[worse]) for better, worse in pairs]
    for of_one in zip(*(compare(*pair) for pair in pairs), strict=True):
        yield dict(zip(names, of_one, strict=True))


def claim(kind: Kind, **given: Any) -> Claim:
    arms = {} if kind == "ordering" else {"treatment": "a", "baseline": "b"}
    return Claim(id="x", statement="", where="", kind=kind, testability="measured", **{**arms, **given})


def _begins(ratio: float) -> tuple[float]:
    """The least that counts as so large a ratio."""
    return (rules.ratio_bounds(ratio)[0],)


CLEAR = 1 + rules.resolution()
FAR, FAR_ABOVE = 1.5, 0.2
"""A ratio, a difference so large that nobody takes them for noise."""
RATIO, DIFFERENCE = claim("ratio", value=1.5), claim("difference")
TWO, THREE = claim("ordering", order=["a", "b"]), claim("ordering", order=["a", "b", "c"])
MARGIN, LOSS = 0.05, 0.01
LATER, LESS = claim("bound", margin=MARGIN), claim("bound", margin=LOSS)

Asked = tuple[str, Claim, What, tuple[float, ...]]
TIMES: Sequence[Asked] = (
    ("ratio of 1.1, its size begins at the truth", claim("ratio", value=1.1), "reproduced", _begins(1.1)),
    ("ratio of 1.5, its size begins at the truth", RATIO, "reproduced", _begins(1.5)),
    ("ratio of 3, its size begins at the truth", claim("ratio", value=3.0), "reproduced", _begins(3.0)),
    ("ratio of 1.5, truth 1/(1+δ)", RATIO, "contradicted", (1 / CLEAR,)),
    ("order of two, truth 1+δ", TWO, "reproduced", (CLEAR,)),
    ("order of two, truth 1/(1+δ)", TWO, "contradicted", (1 / CLEAR,)),
    ("order of three, one pair 1+δ, the others clear", THREE, "reproduced", (CLEAR, FAR)),
    ("order of three, neighbours 1+δ", THREE, "reproduced", (CLEAR, CLEAR)),
    ("order of three, one pair 1/(1+δ), the others clear", THREE, "contradicted", (1 / CLEAR, FAR)),
    ("order of three, two pairs 1/(1+δ), one equal", THREE, "contradicted", (1 / CLEAR, 1.0)),
    ("bound with a margin, truth at it", LATER, "reproduced", (1 / (1 + MARGIN),)),
    ("bound with a margin, truth at it", LATER, "contradicted", (1 / (1 + MARGIN),)),
)
QUALITIES: Sequence[Asked] = (
    ("difference, truth 0", DIFFERENCE, "reproduced", (0.0,)),
    ("difference, truth 0", DIFFERENCE, "contradicted", (0.0,)),
    ("difference of 0.02, truth half of it", claim("difference", value=0.02), "reproduced", (0.01,)),
    ("order of two, both equal", TWO, "reproduced", (0.0,)),
    ("order of two, both equal", TWO, "contradicted", (0.0,)),
    ("order of three, one pair equal, the others clear", THREE, "reproduced", (0.0, FAR_ABOVE)),
    ("order of three, one pair equal, the others clear", THREE, "contradicted", (0.0, FAR_ABOVE)),
    ("order of three, all equal", THREE, "reproduced", (0.0, 0.0)),
    ("order of three, all equal", THREE, "contradicted", (0.0, 0.0)),
    ("bound of a loss, truth at it", LESS, "reproduced", (-LOSS,)),
    ("bound of a loss, truth at it", LESS, "contradicted", (-LOSS,)),
)


def cells() -> Iterator[Cell]:
    for noise in NOISES:
        for name, stated, what, truths in TIMES:
            size = (len(truths) + 1) * size_of(PROCESSES) // 2
            hits = counted(stated, TIME, of_times(noise), what, truths)
            yield Cell("words of times", f"{name}, {noise}", size, hits, SELDOM, what)
    for name, stated, what, truths in QUALITIES:
        size = (len(truths) + 1) * UNITS * SEEDS
        hits = counted(stated, QUALITY, of_quality, what, truths)
        yield Cell("words of quality", name, size, hits, SELDOM, what)


def limits() -> Iterator[Cell]:
    """A mean of skewed values is missed to one side, and a bound asks for one side."""
    at_most = claim("bound", baseline="", margin=1.0)
    for sigma in (0.1, 0.3):
        for what in COUNTED:
            name = f"5 seeds, log-normal with σ {sigma:g}, at most the truth"
            hits = counted(at_most, SIMULATED, of_simulations(5, sigma), what, ())
            yield Cell("known limits", name, 5, hits, None, what)


def counted(
    stated: Claim, meta: MetricRecord, draw: Draw, what: What, truths: tuple[float, ...]
) -> Callable[[Rng, int], Hits]:
    """Whether the claim is given the word that is counted."""

    def hits(rng: Rng, draws: int) -> Hits:
        found = words(stated, meta, draw(truths, rng, draws))
        return np.array([word in COUNTED[what] for word in found])

    return hits
