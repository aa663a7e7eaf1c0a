"""Reclaim gives enough, takes what is cheapest first, and leaves prefixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.impls.flexserve.policy.reclaim import Victim, select

Cached = Mapping[str, Sequence[int]]
Select = Callable[..., list[Victim]]
NAMES = st.sampled_from("abcd")
CACHED = st.dictionaries(NAMES, st.lists(st.integers(0, 50), max_size=6))
KV = st.dictionaries(NAMES, st.integers(0, 80))
RATES = st.dictionaries(NAMES, st.sampled_from([0.0, 0.1, 0.3, 0.6]))


def check(
    take: Select, cached: Cached, kv: Mapping[str, int], rates: Mapping[str, float], request: int
) -> None:
    """Invariants 8 (second half) and 12."""
    victims = take(cached, kv, rates, request)
    there = {(m, "weight", i): n for m, parts in cached.items() for i, n in enumerate(parts) if n}
    there |= {(m, "kv", None): n for m, n in kv.items() if n}
    taken = {(v.model, v.kind, v.part): v.nbytes for v in victims}
    assert len(taken) == len(victims) and taken.items() <= there.items(), "takes what is not there"
    got = sum(taken.values())
    assert got >= min(request, sum(there.values())), "less than the request though more is there"
    assert not victims or got - victims[-1].nbytes < request, "goes on after the request is met"
    left = {key for key in there if key not in taken}
    if any(v.kind == "kv" for v in victims):
        assert not any(kind == "weight" for _, kind, _ in left), "takes KV while weights exist"
    for model, kind, part in left:
        for other in victims:
            if other.kind == kind:
                assert rates.get(other.model, 0) <= rates.get(model, 0), "spares the less invoked"
                if (other.model, kind) == (model, "weight"):
                    assert other.part is not None and part is not None
                    assert other.part > part, "what is left is no prefix"


@given(CACHED, KV, RATES, st.integers(-5, 700))
def test_reclaim_takes_enough_of_the_cheapest(
    cached: Cached, kv: Mapping[str, int], rates: Mapping[str, float], request: int
) -> None:
    check(select, cached, kv, rates, request)


def backwards(
    cached: Cached, kv: Mapping[str, int], rates: Mapping[str, float], request: int
) -> list[Victim]:
    """First layers first."""
    turned = {m: parts[::-1] for m, parts in cached.items()}
    return [
        v if v.part is None else Victim(v.model, v.kind, len(cached[v.model]) - 1 - v.part, v.nbytes)
        for v in select(turned, kv, rates, request)
    ]


def favourites(
    cached: Cached, kv: Mapping[str, int], rates: Mapping[str, float], request: int
) -> list[Victim]:
    """Most invoked first."""
    return select(cached, kv, {m: -r for m, r in rates.items()}, request)


def stingy(cached: Cached, kv: Mapping[str, int], rates: Mapping[str, float], request: int) -> list[Victim]:
    """One victim short."""
    return select(cached, kv, rates, request)[:-1]


def greedy(cached: Cached, kv: Mapping[str, int], rates: Mapping[str, float], request: int) -> list[Victim]:
    """Everything."""
    return select(cached, kv, rates, 10**9)


@pytest.mark.parametrize(
    ("mutant", "noticed"),
    [
        (partial(select, cheapest_first=False), "takes KV while weights exist"),
        (backwards, "no prefix"),
        (favourites, "spares the less invoked"),
        (stingy, "less than the request"),
        (greedy, "goes on after"),
    ],
)
def test_a_wrong_order_is_noticed(mutant: Select, noticed: str) -> None:
    cached, kv, rates = {"a": [10, 10, 10], "b": [10, 10]}, {"a": 5, "b": 5}, {"a": 0.2, "b": 0.8}
    check(select, cached, kv, rates, 15)
    with pytest.raises(AssertionError, match=noticed):
        check(mutant, cached, kv, rates, 15)


def test_victims_stand_in_the_order_they_are_taken() -> None:
    cached, kv = {"often": [1, 1], "rare": [1, 0, 1]}, {"often": 5, "rare": 5}
    order = [(v.model, v.part) for v in select(cached, kv, {"often": 0.9, "rare": 0.1}, 100)]
    assert order == [("rare", 2), ("rare", 0), ("often", 1), ("often", 0), ("rare", None), ("often", None)]


def test_kv_whose_copy_is_written_goes_with_the_weights_of_its_model() -> None:
    cached, kv, rates = {"often": [1, 1], "rare": [1]}, {"often": 5, "rare": 5}, {"often": 0.9, "rare": 0.1}
    order = [(v.model, v.kind) for v in select(cached, kv, rates, 100, swapped_out={"rare"})]
    assert order == [("rare", "weight"), ("rare", "kv"), *[("often", "weight")] * 2, ("often", "kv")]


def test_without_stages_a_whole_model_goes_before_the_next() -> None:
    cached, kv, rates = {"often": [1, 1], "rare": [1]}, {"often": 5, "rare": 5}, {"often": 0.9, "rare": 0.1}
    order = [(v.model, v.kind) for v in select(cached, kv, rates, 100, cheapest_first=False)]
    assert order == [("rare", "kv"), ("rare", "weight"), ("often", "kv"), *[("often", "weight")] * 2]
