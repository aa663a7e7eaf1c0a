"""What stands behind a number, as every place says it that prints one."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from remeasure.report.behind import behind
from report.sample_claims import CLAIMS

FOUND = "could have been found"


def judged(word: str, **other: Any) -> dict[str, str]:
    one = next(claim for claim in CLAIMS if claim.id == "O5")
    verdict = msgspec.structs.replace(one.verdict, word=word)
    return behind(msgspec.structs.replace(one, verdict=verdict, **other))


@pytest.mark.parametrize("word", ["not reproduced", "inconclusive", "below resolution"])
def test_a_null_says_what_could_have_been_found(word: str) -> None:
    assert judged(word)[FOUND] == "0.0033, in 4 of 5 repeats"


def test_what_is_shown_without_a_word_is_a_null_by_its_test() -> None:
    assert FOUND in judged("shown, not judged", p=0.21)
    assert FOUND not in judged("shown, not judged", p=0.01)
    assert FOUND not in judged("shown, not judged", p=None)


def test_what_was_found_says_nothing_of_what_could_have_been() -> None:
    assert FOUND not in judged("reproduced", p=0.001)


def test_a_claim_without_a_number_has_nothing_behind_it() -> None:
    assert judged("not run", estimate=None) == {}
