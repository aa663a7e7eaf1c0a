"""Which users, queries or documents a block judges: named once by a round, and the same for every arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..contracts import Arm, Case, Metric
from ..errors import UserError

UNITS, CLUSTERS = "units", "clusters"
"""Keys under which a round may return the ids of its judged units, and of the larger unit that each lies in."""


class Judged:
    """The units of a block, by what they are (a metric's `per`); the first arm that names them decides their order."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.kinds = tuple(dict.fromkeys(metric.per for metric in case.metrics if metric.judges_units))
        self.units: dict[str, list[str]] = {}
        self.clusters: dict[str, list[str]] = {}

    def places(self, arm: Arm, units: Any, clusters: Any) -> dict[str, list[int]]:
        """Where the block's units stand in what the arm returned, by kind; empty where they stand as they should.

        Raises UserError for units that repeat, that differ between arms, and for clusters without units.
        """
        named = self._by_kind(arm, units, UNITS)
        larger = self._by_kind(arm, clusters, CLUSTERS)
        if without := sorted(set(larger) - set(named)):
            raise self._error(
                arm, f"returned {CLUSTERS} of {without[0]}s without the {UNITS} that lie in them"
            )
        moved: dict[str, list[int]] = {}
        for kind, ids in named.items():
            twice = [name for name, count in Counter(ids).items() if count > 1]
            if twice:
                raise self._error(arm, f"names the {kind} {twice[0]!r} twice")
            if kind in larger and len(larger[kind]) != len(ids):
                raise self._error(arm, f"returned {len(larger[kind])} {CLUSTERS} for {len(ids)} {kind}s")
            first = self.units.setdefault(kind, ids)
            if kind in larger and first is ids:
                self.clusters[kind] = larger[kind]
            if ids != first:
                moved[kind] = self._places(arm, kind, first, ids)
        return moved

    def ordered(
        self, arm: Arm, metric: Metric, values: list[float], places: Mapping[str, Sequence[int]]
    ) -> list[float]:
        """The values of a round in the order of the block's units."""
        if not metric.judges_units or metric.per not in self.units:
            return values
        if len(values) != len(self.units[metric.per]):
            raise self._error(
                arm,
                f"returned {len(values)} of {metric.name} for {len(self.units[metric.per])} {metric.per}s",
            )
        return [values[place] for place in places[metric.per]] if metric.per in places else values

    def _by_kind(self, arm: Arm, given: Any, what: str) -> dict[str, list[str]]:
        if given is None:
            return {}
        if isinstance(given, Mapping):
            if strange := sorted(set(given) - set(self.kinds)):
                raise self._error(
                    arm, f"returned {what} of {strange[0]!r}, of which no metric is a number each"
                )
            return {kind: _names(ids) for kind, ids in given.items()}
        if len(self.kinds) != 1:
            kinds = ", ".join(self.kinds) or "none"
            raise self._error(arm, f"returned {what} without saying of what; the case judges {kinds}")
        return {self.kinds[0]: _names(given)}

    def _places(self, arm: Arm, kind: str, first: Sequence[str], ids: Sequence[str]) -> list[int]:
        at = {name: place for place, name in enumerate(ids)}
        odd = [name for name in first if name not in at] or [name for name in ids if name not in set(first)]
        if odd:
            raise self._error(arm, f"does not judge the same {kind}s as the arms before it ({odd[0]!r})")
        return [at[name] for name in first]

    def _error(self, arm: Arm, what: str) -> UserError:
        return UserError(f"{self.case.id}: arm {arm.name!r} {what}.")


def _names(ids: Iterable[Any]) -> list[str]:
    plain = ids.tolist() if hasattr(ids, "tolist") else ids
    return [str(name) for name in plain]
