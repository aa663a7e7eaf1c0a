"""Which users a block judges: named by a round, joined by name, refused where they differ, repeat or stand alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from remeasure.contracts import Arm, At, Case, Metric
from remeasure.errors import UserError
from remeasure.running.measure import Measured, measure

NDCG = Metric("NDCG@10", "", better="higher", kind="quality", per="user")
HIT = Metric("hit", "", better="higher", kind="quality", per="query")
SECONDS = Metric("inexact", "", better="higher", kind="quality", per="user", exact=False)
NAMES = ["ann", "bob", "eve"]
VALUES = [0.1, 0.2, 0.3]


def case_of(arms: Mapping[str, Mapping[str, Any]], *metrics: Metric) -> Case:
    """Arms that return what is given, in this order of arms."""
    declared = tuple(Arm(name, "strawman" if not at else "reference", None) for at, name in enumerate(arms))
    return Case(
        "case", "?", lambda arm, data, seed: lambda: dict(arms[arm.name]), "none", None, declared,
        metrics or (NDCG,), {"tiny": At()}, system="system",
    )  # fmt: skip


def measured(arms: Mapping[str, Mapping[str, Any]], *metrics: Metric, rounds: int = 1) -> Measured:
    return measure(case_of(arms, *metrics), None, 1, rounds)


def test_the_units_that_a_round_names_are_kept_once() -> None:
    named = {"NDCG@10": VALUES, "units": NAMES}
    found = measured({"a": named, "b": named}, rounds=2)
    assert found.units == {"user": NAMES}
    assert found.clusters == {}


def test_one_arm_is_enough_to_name_them() -> None:
    found = measured({"a": {"NDCG@10": VALUES}, "b": {"NDCG@10": VALUES, "units": NAMES}})
    assert found.units == {"user": NAMES}


def test_values_are_joined_by_unit_whatever_order_an_arm_returns_them_in() -> None:
    turned = {"NDCG@10": VALUES[::-1], "units": NAMES[::-1]}
    found = measured({"a": {"NDCG@10": VALUES, "units": NAMES}, "b": turned})
    first, second = found.samples["NDCG@10"]["a"], found.samples["NDCG@10"]["b"]
    assert first == second
    assert dict(zip(found.units["user"], first, strict=True)) == dict(zip(NAMES, VALUES, strict=True))


def test_units_of_several_kinds_are_named_by_kind() -> None:
    both = {"NDCG@10": VALUES, "hit": [1, 0], "units": {"user": NAMES, "query": ["q1", "q2"]}}
    found = measured({"a": both}, NDCG, HIT)
    assert found.units == {"user": NAMES, "query": ["q1", "q2"]}


def test_clusters_are_kept_beside_the_units_that_lie_in_them() -> None:
    found = measured({"a": {"NDCG@10": VALUES, "units": NAMES, "clusters": ["x", "x", "y"]}})
    assert found.clusters == {"user": ["x", "x", "y"]}


def test_rounds_of_something_inexact_keep_every_unit_each_time() -> None:
    found = measured({"a": {"inexact": VALUES, "units": NAMES}}, SECONDS, rounds=2)
    assert found.samples["inexact"]["a"] == VALUES * 2


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ({"units": ["ann", "ann", "eve"]}, "names the user 'ann' twice"),
        ({"units": ["eve", "eve", "ann", "ann"]}, "names the user 'eve' twice"),
        ({"units": ["ann", "bob"]}, "returned 3 of NDCG@10 for 2 users"),
        ({"clusters": ["x", "x", "y"]}, "clusters of users without the units"),
        ({"units": NAMES, "clusters": ["x"]}, "returned 1 clusters for 3 users"),
        ({"units": {"query": NAMES}}, "returned units of 'query', of which no metric is a number each"),
        ({"units": {"query": NAMES, "page": NAMES}}, "returned units of 'page', of which no metric is"),
    ],
)
def test_units_that_cannot_be_joined_are_refused(returned: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match="system/case: arm 'a' ") as refusal:
        measured({"a": {"NDCG@10": VALUES, **returned}})
    assert said in str(refusal.value)


@pytest.mark.parametrize("other", [["ann", "bob", "kim"], ["ann", "bob", "eve", "kim"]])
def test_arms_that_judge_other_users_are_refused(other: list[str]) -> None:
    arms = {
        "a": {"NDCG@10": VALUES, "units": NAMES},
        "b": {"NDCG@10": [0.0] * len(other), "units": other},
    }
    with pytest.raises(UserError, match="does not judge the same users as the arms before it"):
        measured(arms)


def test_the_first_of_those_that_another_arm_does_not_judge_is_named() -> None:
    arms = {
        "a": {"NDCG@10": VALUES, "units": NAMES},
        "b": {"NDCG@10": VALUES, "units": ["ann", "kim", "zoe"]},
    }
    with pytest.raises(UserError, match=r"arm 'b' does not judge the same users .* \('bob'\)\.$"):
        measured(arms)


def test_the_first_kind_of_clusters_without_units_is_named() -> None:
    returned = {"NDCG@10": VALUES, "hit": [1], "clusters": {"user": NAMES, "query": ["x"]}}
    with pytest.raises(UserError, match="returned clusters of querys without the units that lie in them"):
        measured({"a": returned}, NDCG, HIT)


def test_units_are_refused_where_no_metric_is_a_number_each() -> None:
    seconds = Metric("seconds", "s", better="lower", kind="virtual-time")
    with pytest.raises(UserError, match=r"returned units without saying of what; the case judges none\.$"):
        measured({"a": {"seconds": 1.0, "units": NAMES}}, seconds)


def test_a_metric_that_judges_no_units_keeps_its_own_number_of_values() -> None:
    calls = Metric("calls", "", better="lower", kind="count", per="user")
    found = measured({"a": {"NDCG@10": VALUES, "calls": 7, "units": NAMES}}, NDCG, calls)
    assert found.samples["calls"]["a"] == [7.0]


def test_names_in_an_array_of_another_library_are_its_plain_values() -> None:
    class Tensor:
        """Its parts are tensors again, as torch's are."""

        def tolist(self) -> list[int]:
            return [3, 1, 2]

        def __iter__(self) -> Iterator[Tensor]:
            return iter([Tensor()] * 3)

    assert measured({"a": {"NDCG@10": VALUES, "units": Tensor()}}).units == {"user": ["3", "1", "2"]}


def test_units_without_a_kind_are_refused_where_there_are_several() -> None:
    with pytest.raises(UserError, match="without saying of what; the case judges user, query"):
        measured({"a": {"NDCG@10": VALUES, "hit": [1], "units": NAMES}}, NDCG, HIT)
