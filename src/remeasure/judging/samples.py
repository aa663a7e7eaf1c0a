"""The samples of one metric over a case's blocks: levels of arms and effects between arms, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records.record import TWIN_SUFFIX, MetricRecord, Record
from . import stats
from .stats import Array, Interval

ROUND_RATIO = "exp of the median log ratio of paired {per}s; 95 % bootstrap interval, 2,000 resamples."
MEAN_RATIO = "Ratio of means{seeds}; paired bootstrap over {per}s, 10,000 resamples."
DIFFERENCE = "Mean paired difference{seeds}; bootstrap over {per}s, 10,000 resamples."
MEAN = "Mean{seeds}; bootstrap over {per}s, 10,000 resamples."
MEDIAN = "Median of {per}s with binomial 95 % bounds."
DRAWS = "Median and middle 95 % over draws of the model's uncertain inputs."
DRAW = "draw"
"""What a sample of a model stands for when its inputs are drawn within their tolerances."""


@dataclass(frozen=True)
class Effect:
    """A number with its interval, the same of every seed, and the method in one sentence."""

    interval: Interval
    per_seed: tuple[float, ...]
    how: str


@dataclass(frozen=True)
class Samples:
    """One metric of one case: a block a seed, all arms in each."""

    records: tuple[Record, ...]
    metric: str

    @property
    def meta(self) -> MetricRecord:
        return self.records[0].metrics[self.metric]

    @property
    def arms(self) -> list[str]:
        """Arms that any block measured, in declared order, without the twin."""
        named = dict.fromkeys(arm for record in self.records for arm in record.arms)
        return [arm for arm in named if self.of(arm)]

    def of(self, arm: str) -> list[Array]:
        """One array a block; blocks that lack the arm are left out."""
        found = (record.samples.get(self.metric, {}).get(arm) for record in self.records)
        return [np.asarray(values, dtype=np.float64) for values in found if values]

    def pairs(self, treatment: str, baseline: str) -> list[tuple[Array, Array]]:
        """Both arms' samples of every block that has either. Raises ValueError for unpaired ones."""
        pairs = []
        for record in self.records:
            samples = record.samples.get(self.metric, {})
            ours, theirs = samples.get(treatment, []), samples.get(baseline, [])
            if len(ours) != len(theirs):
                raise ValueError(f"{len(ours)} and {len(theirs)} samples cannot be paired")
            if ours:
                pairs.append((np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)))
        if not pairs:
            raise ValueError(f"no samples of {treatment} and {baseline}")
        return pairs

    def level(self, arm: str) -> Effect:
        """One arm's own number: the median of timed rounds, else the mean."""
        return self.levels([arm])[arm]

    def levels(self, arms: Sequence[str]) -> dict[str, Effect]:
        """`level` of several arms; those over equally many units share their resamples."""
        if self.meta.per == DRAW:
            return {arm: self._drawn(self.of(arm)) for arm in arms}
        if self.meta.kind == "time":
            how = MEDIAN.format(per=self.meta.per)
            return {
                arm: Effect(
                    stats.percentile_interval(np.concatenate(self.of(arm))),
                    tuple(float(np.median(block)) for block in self.of(arm)),
                    how,
                )
                for arm in arms
            }
        joined = {arm: self.joined(self.of(arm)) for arm in arms}
        intervals: dict[str, Interval] = {}
        for size in dict.fromkeys(values.size for values in joined.values()):
            same = [arm for arm in arms if joined[arm].size == size]
            intervals |= zip(same, stats.mean_intervals([joined[arm] for arm in same]), strict=True)
        return {
            arm: Effect(
                intervals[arm],
                tuple(float(block.mean()) for block in self.of(arm)),
                self._say(MEAN, self.of(arm)),
            )
            for arm in arms
        }

    def ratio(self, treatment: str, baseline: str) -> Effect:
        """Oriented so that > 1 favours the treatment. Raises ValueError for unpaired samples and zeros."""
        better, pairs = self.meta.better, self.pairs(treatment, baseline)
        if self.meta.per == DRAW:
            if any((values <= 0).any() for pair in pairs for values in pair):
                raise ValueError("a ratio of draws needs positive samples")
            return self._drawn([a / b if better == "higher" else b / a for a, b in pairs])
        ours, theirs = self.joined([a for a, _ in pairs]), self.joined([b for _, b in pairs])
        if self.meta.kind in ("time", "virtual-time"):
            interval = stats.ratio_interval(ours, theirs, better)
            per_seed = [float(np.exp(np.median(np.log(a) - np.log(b)))) for a, b in pairs]
            how = ROUND_RATIO.format(per=self.meta.per)
        else:
            if ours.mean() <= 0 or theirs.mean() <= 0:
                raise ValueError("a ratio of means needs positive means")
            interval = stats.mean_ratio_interval(ours, theirs, better)
            per_seed = [float(a.mean() / b.mean()) for a, b in pairs if b.mean()]
            how = self._say(MEAN_RATIO, [a for a, _ in pairs])
        if not interval.finite:
            raise ValueError("the ratio has no finite interval")
        oriented = [value if better == "higher" else 1 / value for value in per_seed if value > 0]
        return Effect(interval, tuple(oriented), how)

    def difference(self, treatment: str, baseline: str) -> Effect:
        """In the metric's unit, > 0 favours the treatment. Raises ValueError for unpaired samples."""
        sign = 1.0 if self.meta.better == "higher" else -1.0
        blocks = [sign * (a - b) for a, b in self.pairs(treatment, baseline)]
        if self.meta.per == DRAW:
            return self._drawn(blocks)
        interval = stats.mean_difference_interval(self.joined(blocks))
        per_seed = tuple(float(block.mean()) for block in blocks)
        return Effect(interval, per_seed, self._say(DIFFERENCE, blocks))

    def noise(self) -> Interval | None:
        """The A/A twin against the arm it repeats, if one ran. Raises ValueError for unpaired rounds."""
        twin_of = next((record.twin_of for record in self.records if record.twin_of), "")
        twin = twin_of + TWIN_SUFFIX
        if self.meta.kind != "time" or not twin_of or not self.of(twin):
            return None
        pairs = self.pairs(twin, twin_of)
        return stats.ratio_interval(
            np.concatenate([a for a, _ in pairs]), np.concatenate([b for _, b in pairs]), self.meta.better
        )

    def _drawn(self, blocks: Sequence[Array]) -> Effect:
        per_seed = tuple(float(np.median(block)) for block in blocks)
        return Effect(stats.draws_interval(np.concatenate(blocks)), per_seed, DRAWS)

    def joined(self, blocks: Sequence[Array]) -> Array:
        """Each user's value averaged over seeds; where no user recurs (rounds, seeds), all in a row."""
        if self._recur(blocks):
            averaged: Array = np.mean(blocks, axis=0)
            return averaged
        return np.concatenate(blocks)

    def _recur(self, blocks: Sequence[Array]) -> bool:
        """Whether sample i stands for the same user, query or document in every block."""
        units = self.meta.kind == "quality" and self.meta.per not in ("seed", "round")
        return units and len({block.size for block in blocks}) == 1

    def _say(self, template: str, blocks: Sequence[Array]) -> str:
        averaged = len(blocks) > 1 and self._recur(blocks)
        seeds = f" of each {self.meta.per}'s average over {len(blocks)} seeds" if averaged else ""
        return template.format(per=self.meta.per, seeds=seeds)
