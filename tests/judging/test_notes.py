"""The loud sentences: of which blocks each is said, and that one such block is enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from records_factory import CPU, NDCG, SYSTEM, case, data, failure, provenance, timed

from remeasure.judging.notes import notes
from remeasure.judging.selection import Blocks, Chosen
from remeasure.records.record import Record

EVERY_SEED = tuple(timed(seed) for seed in range(2, 6))


def said(ok: Sequence[Record], failures: Sequence[Record] = (), **options: Any) -> list[str]:
    chosen = Chosen({(SYSTEM, "speed"): Blocks(tuple(ok), tuple(failures))}, 0, 0)
    return notes(chosen, [options.pop("of", case())], "smoke", **options)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"data": data(kind="simulated")}, "Simulated data: made/speed ran on a declared generator"),
        ({"data": data(origin="directory")}, "Your own data: made/speed ran on a folder of yours"),
        ({"overrides": {"steps": "1"}}, "Other settings: made/speed ran with --set"),
        ({"budget_ended": True}, "The budget ended before all rounds of made/speed had run."),
        ({"from_": provenance(dirty="d")}, "Uncommitted changes: made/speed ran from a dirty tree."),
        ({"contract": "It asks no question."}, "The contract tests refused made/speed."),
    ],
)
def test_one_block_is_enough_for_a_sentence(changed: Mapping[str, Any], sentence: str) -> None:
    (note,) = said([timed(1, **changed), *EVERY_SEED])
    assert note.startswith(sentence)
    assert said([timed(1), *EVERY_SEED]) == []


def test_a_failure_is_said_and_is_no_refusal_but_may_be_of_a_dirty_tree() -> None:
    failed = "Failed blocks: made/speed; see what failed."
    assert said(EVERY_SEED, [failure(1)]) == [failed]
    assert said(EVERY_SEED, [failure(1, budget_ended=True, overrides={"a": 1})]) == [failed]
    dirty = failure(1, from_=provenance(dirty="d"))
    assert said(EVERY_SEED, [dirty]) == ["Uncommitted changes: made/speed ran from a dirty tree.", failed]


def test_one_seed_is_said_of_a_case_that_has_a_quality_beside_its_time() -> None:
    both = case(metrics=(CPU, NDCG))
    assert any(note.startswith("One seed: made/speed;") for note in said([timed(1)], of=both))
    assert not any(note.startswith("One seed") for note in said([timed(1)]))


@pytest.mark.parametrize("way", ["--seed", "precision"])
def test_seeds_beyond_the_profiles_are_said_with_the_way_they_came_in(way: str) -> None:
    found = said([timed(1), *EVERY_SEED], beyond={(SYSTEM, "speed"): way, (SYSTEM, "ranking"): way})
    assert found == [f"Seeds beyond the profile's, by {way}: made/speed, made/ranking."]


def test_what_is_wider_than_it_should_be_is_said_case_by_case() -> None:
    wide = {"made/speed": ["a ±1", "b ±2"], "made/ranking": [], "made/queue": ["c ±3"]}
    assert said([timed(1), *EVERY_SEED], wide=wide) == [
        "Precision not reached: made/speed: a ±1; b ±2.",
        "Precision not reached: made/queue: c ±3.",
    ]
