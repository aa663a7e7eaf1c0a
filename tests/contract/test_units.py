"""Which users, documents, sizes or bars a case judges: every round that returns a number each says who they are."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pytest

from remeasure.contracts import Case
from remeasure.data.sources import open_data, simulator
from remeasure.declared.overrides import at_profile
from remeasure.declared.registry import registry
from remeasure.running.contract_checks import PROFILE
from remeasure.running.measure import UNITS, measure

FOUND = registry()
JUDGING = [case for case in FOUND.cases() if any(metric.judges_units for metric in case.metrics)]
of_every_judging_case = pytest.mark.parametrize("case", JUDGING, ids=lambda case: case.id)


@lru_cache(maxsize=1)
def tiny(case_id: str) -> tuple[Case, Any]:
    """A case as small as its tiny profile makes it, and its data from the simulator."""
    case = at_profile(FOUND.case(case_id), PROFILE, {})
    data, _ = open_data(case, simulator(FOUND.dataset(case.dataset)))
    return case, data


@pytest.mark.slow
@of_every_judging_case
def test_each_unit_of_a_case_is_named_once_and_has_a_number_of_every_arm(case: Case) -> None:
    small, data = tiny(case.id)
    at = case.profiles[PROFILE]
    measured = measure(small, data, at.seeds[0], at.rounds)
    for metric in (metric for metric in case.metrics if metric.judges_units):
        ids = measured.units.get(metric.per, [])
        assert len(set(ids)) == len(ids) > 1, f"{metric.name}: no ids of its {metric.per}s, or one twice"
        for arm, values in measured.samples[metric.name].items():
            assert len(values) == len(ids), f"{arm}: {len(values)} of {metric.name} for {len(ids)} ids"
    for kind, clusters in measured.clusters.items():
        assert len(clusters) == len(measured.units[kind])
        assert len(set(clusters)) > 1, f"{kind}: one cluster is no sample of any"


@pytest.mark.slow
@of_every_judging_case
def test_another_seed_judges_the_same_units(case: Case) -> None:
    small, data = tiny(case.id)
    seed = case.profiles[PROFILE].seeds[0]
    first, second = (small.prepare(small.arms[0], data, seed + more)() for more in (0, 1))
    assert list(first[UNITS]) == list(second[UNITS])
