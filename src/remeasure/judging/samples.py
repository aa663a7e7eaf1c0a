"""The samples of one metric over a case's blocks: levels of arms and effects between arms, with intervals.

What is independent depends on the metric: of times the process, of a simulation the seed, of quality the judged unit
(user, query, document) and the training seed, crossed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..records.record import TWIN_SUFFIX, MetricRecord, Record
from . import estimates
from .estimates import Array, Labels
from .intervals import Interval, alone

PROCESSES = (
    "exp of the mean over processes of each one's median log{ratio}; 95 % by Student's t over processes."
)
SEEDS = "{mean} over seeds; 95 % by Student's t over seeds{logs}."
UNITS = "{what} over {per}s and seeds; 95 % by Student's t over both, crossed{clusters}."
UNITS_ALONE = "{what} over {per}s; 95 % by Student's t over {per}s{clusters}{training}."
FIXED = "{what} over the published {per}s; 95 % by Student's t over seeds."
SHARE = "Share of {per}s; 95 % by Clopper–Pearson, at least."
DRAWS = "Median and middle 95 % over draws of the model's uncertain inputs: a range, no interval."
EXACT = "Exact: the same with every seed."
NO_SPREAD = ", without the spread of training"
DRAW = "draw"
"""What a sample of a model stands for when its inputs are drawn within their tolerances."""


@dataclass(frozen=True)
class Effect:
    """A number with its interval, the same of every seed, and the method in one sentence."""

    interval: Interval
    per_seed: tuple[float, ...]
    """Of every block, in the order of its records."""
    how: str
    rounds: int = 0
    """The fewest rounds of a process behind a time; 0 for anything else."""
    units: int = 0
    """Judged units behind a quality; 0 for anything else."""
    random: bool = True
    """Another seed, process or sample of units would give another number."""
    seeded: bool = True
    """Another seed would."""


@dataclass(frozen=True)
class Samples:
    """One metric of one case: a block a seed, all arms in each."""

    records: tuple[Record, ...]
    metric: str
    deterministic: bool = False
    """The case is declared to give the same numbers with every seed."""
    middle: bool = False
    """Of several rounds of something that is neither a time nor a quality, a block's median counts, not the mean."""

    @property
    def meta(self) -> MetricRecord:
        return self.records[0].metrics[self.metric]

    @property
    def arms(self) -> list[str]:
        """Arms that any block measured, in declared order, without the twin."""
        named = dict.fromkeys(arm for record in self.records for arm in record.arms)
        return [arm for arm in named if self.of(arm)]

    @property
    def over_units(self) -> bool:
        """Whether a sample stands for a judged unit, which recurs in every block."""
        return self.meta.kind == "quality" and self.meta.per not in ("seed", "round")

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

    def level(self, arm: str, *, fixed: bool = False) -> Effect:
        """One arm's own number. fixed: the judged units are the whole population, so only seeds are random."""
        blocks = self.of(arm)
        if not blocks:
            raise ValueError(f"no samples of {arm}")
        if self.meta.per == DRAW:
            return _drawn(blocks)
        if self.meta.kind == "time":
            return self._timed([_logs(self._rounds(block)) for block in blocks], "")
        if self.over_units:
            return self._of_units(self._table(arm), "Mean", fixed)
        return self._of_seeds([self._of_block(block) for block in blocks], logs=self._is_ratio)

    def ratio(self, treatment: str, baseline: str) -> Effect:
        """Oriented so that > 1 favours the treatment. Raises ValueError for unpaired samples and zeros."""
        over, under = (treatment, baseline) if self.meta.better == "higher" else (baseline, treatment)
        return self.quotient(over, under)

    def quotient(self, over: str, under: str) -> Effect:
        """The ratio of two arms as it is, whichever of them it favours."""
        pairs = self.pairs(over, under)
        if self.meta.per == DRAW:
            if any((values <= 0).any() for pair in pairs for values in pair):
                raise ValueError("a ratio of draws needs positive samples")
            return _drawn([a / b for a, b in pairs])
        if self.meta.kind == "time":
            logs = [self._rounds(_logs(a) - _logs(b)) for a, b in pairs]
            return self._timed(logs, " ratio")
        if self.over_units:
            ours, theirs = self._table(over), self._table(under)
            if ours.mean() <= 0 or theirs.mean() <= 0:
                raise ValueError("a ratio of means needs positive means")
            interval = estimates.of_unit_ratio(ours, theirs, self._clusters())
            per_seed = tuple(float(a.mean() / b.mean()) for a, b in pairs if b.mean())
            return self._crossed(interval, per_seed, "Ratio of means", ours)
        means = [(self._of_block(a), self._of_block(b)) for a, b in pairs]
        if min(min(both) for both in means) <= 0:
            raise ValueError("a ratio needs positive samples")
        return self._of_seeds([a / b for a, b in means], logs=True)

    def difference(self, treatment: str, baseline: str) -> Effect:
        """In the metric's unit, > 0 favours the treatment. Raises ValueError for unpaired samples."""
        sign = 1.0 if self.meta.better == "higher" else -1.0
        blocks = [sign * (a - b) for a, b in self.pairs(treatment, baseline)]
        if self.meta.per == DRAW:
            return _drawn(blocks)
        if self.over_units:
            table = sign * (self._table(treatment) - self._table(baseline))
            return self._of_units(table, "Mean paired difference", fixed=False)
        return self._of_seeds([self._of_block(block) for block in blocks], logs=False)

    def noise(self) -> Interval | None:
        """The A/A twin against the arm it repeats, if one ran. Raises ValueError for unpaired rounds."""
        twin_of = next((record.twin_of for record in self.records if record.twin_of), "")
        twin = twin_of + TWIN_SUFFIX
        if self.meta.kind != "time" or not twin_of or not self.of(twin):
            return None
        return self.ratio(twin, twin_of).interval

    def _of_block(self, rounds: Array) -> float:
        return float(np.median(rounds) if self.middle else rounds.mean())

    @property
    def _is_ratio(self) -> bool:
        """A metric that is a ratio already is averaged on logarithms."""
        return self.meta.unit == "×"

    def _timed(self, logs: Sequence[Array], what: str) -> Effect:
        per_seed = tuple(float(np.exp(np.median(of_one))) for of_one in logs)
        rounds = min(len(of_one) for of_one in logs)
        return Effect(estimates.of_processes(logs), per_seed, PROCESSES.format(ratio=what), rounds=rounds)

    def _rounds(self, values: Array) -> Array:
        """One value a round, however many the round returned."""
        rounds = len(self.records[0].order)
        many = rounds and values.size > rounds and values.size % rounds == 0
        return np.median(values.reshape(rounds, -1), axis=1) if many else values

    def _of_seeds(self, values: Sequence[float], *, logs: bool) -> Effect:
        """One value a block."""
        array = np.array(values)
        per_seed = tuple(values)
        if self.deterministic:
            exactly = alone(float(array.mean()), len(array))
            return Effect(exactly, per_seed, EXACT, random=False, seeded=False)
        if top := _top_of_share(array, self.meta.unit):
            interval = estimates.of_share(int((array > 0).sum()), len(array), top)
            return Effect(interval, per_seed, SHARE.format(per="seed"))
        if logs and (array <= 0).any():
            raise ValueError("a ratio needs positive samples")
        how = SEEDS.format(mean="Geometric mean" if logs else "Mean", logs=", on logarithms" if logs else "")
        return Effect(estimates.of_seeds(array, logs=logs), per_seed, how)

    def _of_units(self, table: Array, what: str, fixed: bool) -> Effect:
        """table: [units, seeds]."""
        per_seed = tuple(float(mean) for mean in table.mean(axis=0))
        top = (
            _top_of_share(table, self.meta.unit)
            if what == "Mean" and not fixed and table.shape[1] == 1
            else 0.0
        )
        if top and self._clusters() is None:
            interval = estimates.of_share(int((table > 0).sum()), len(table), top)
            how = SHARE.format(per=self.meta.per)
            return Effect(interval, per_seed, how, units=len(table), seeded=not self.deterministic)
        interval = estimates.of_units(table, self._clusters(), fixed=fixed)
        return self._crossed(interval, per_seed, what, table, fixed)

    def _crossed(
        self, interval: Interval, per_seed: tuple[float, ...], what: str, table: Array, fixed: bool = False
    ) -> Effect:
        """With the sentence that says how; table: [units, seeds]."""
        said = {"what": what, "per": self.meta.per, "clusters": ""}
        if self._clusters() is not None:
            said["clusters"] = f", {self.meta.per}s in clusters"
        if fixed:
            how = FIXED.format(**said)
        elif table.shape[1] > 1:
            how = UNITS.format(**said)
        else:
            how = UNITS_ALONE.format(**said, training="" if self.deterministic else NO_SPREAD)
        seeded = not self.deterministic
        return Effect(interval, per_seed, how, units=len(table), random=seeded or not fixed, seeded=seeded)

    def _table(self, arm: str) -> Array:
        """[units, seeds]: every unit's value in every block, averaged over the block's rounds first.

        Of a case that gives the same with every seed, one column. Raises ValueError where blocks have other units.
        """
        names = self._names(self.records[0])
        columns = []
        for record in self.records:
            values = np.asarray(record.samples.get(self.metric, {}).get(arm, ()), dtype=np.float64)
            if not values.size:
                continue
            own = self._names(record)
            count = len(own) if own is not None else self._count(record)
            if values.size % count:
                raise ValueError(f"{values.size} samples are not of {count} {self.meta.per}s")
            values = values.reshape(-1, count).mean(axis=0)
            columns.append(
                values if own is None or names is None else values[_places(names, own, self.meta.per)]
            )
        if len({len(column) for column in columns}) > 1:
            raise ValueError(
                f"seeds have different numbers of {self.meta.per}s; a round has to return its units"
            )
        table = np.column_stack(columns)
        return table.mean(axis=1, keepdims=True) if self.deterministic else table

    def _count(self, record: Record) -> int:
        """Units of a block that does not name them: what one round of an arm returned."""
        arms = record.samples[self.metric]
        return min(len(values) for values in arms.values()) // self._repeats(record)

    def _repeats(self, record: Record) -> int:
        """How often a block holds every unit: as often as there are rounds, where rounds may differ."""
        return 1 if self.meta.exact else max(1, len(record.order))

    def _names(self, record: Record) -> list[str] | None:
        return record.units.get(self.meta.per)

    def _clusters(self) -> Labels | None:
        names = self.records[0].clusters.get(self.meta.per)
        return None if names is None else np.unique(names, return_inverse=True)[1]


def _drawn(blocks: Sequence[Array]) -> Effect:
    per_seed = tuple(float(np.median(block)) for block in blocks)
    return Effect(estimates.of_draws(np.concatenate(blocks)), per_seed, DRAWS)


def _logs(values: Array) -> Array:
    if (values <= 0).any():
        raise ValueError("a time needs positive samples")
    logs: Array = np.log(values)
    return logs


def _places(wanted: Sequence[str], there: Sequence[str], per: str) -> list[int]:
    """Where each wanted unit stands. Raises ValueError where a unit is missing or more than there should be."""
    at = {name: place for place, name in enumerate(there)}
    missing = [name for name in wanted if name not in at]
    if missing or len(there) != len(wanted):
        odd = missing[0] if missing else next(name for name in there if name not in set(wanted))
        raise ValueError(f"seeds judge different {per}s ({odd} is not in all of them)")
    return [at[name] for name in wanted]


def _top_of_share(values: Array, unit: str) -> float:
    """1 (100 in percent) where every value is 0 or that, so that their mean is a share; else 0."""
    top = 100.0 if unit == "%" else 1.0
    return top if np.isin(values, (0.0, top)).all() else 0.0
