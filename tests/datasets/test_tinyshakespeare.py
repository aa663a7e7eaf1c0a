"""Tiny Shakespeare, real or simulated: three parts by lines, in order, and nothing lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remeasure.datasets.tinyshakespeare.loader import Plays, Request, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "tinyshakespeare"


def check(plays: Plays, text: str) -> None:
    assert plays.train + plays.valid + plays.test == text, "not the whole text in order"
    lines = [part.count("\n") for part in (plays.train, plays.valid, plays.test)]
    total = sum(lines)
    assert abs(lines[0] - 0.8 * total) < 1 and abs(lines[1] - 0.1 * total) <= 1, "other shares"
    assert plays.train.endswith("\n") and plays.valid.endswith("\n"), "a line in two parts"


@settings(deadline=None)
@given(st.lists(st.text(st.characters(categories=["L", "Zs"]), max_size=20), min_size=10, max_size=80))
def test_the_parts_are_the_text_in_order(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    folder = tmp_path_factory.mktemp("text")
    (folder / "input.txt").write_bytes(text.encode())
    data = load(Request(), folder)
    check(data, text)
    assert not data.simulated


MUTANTS: dict[str, Callable[[Plays], Plays]] = {
    "not the whole text in order": lambda plays: replace(plays, train=plays.valid, valid=plays.train),
    "other shares": lambda plays: replace(plays, train="", valid=plays.train + plays.valid),
    "a line in two parts": lambda plays: replace(
        plays, train=plays.train + plays.valid[:3], valid=plays.valid[3:]
    ),
}


@pytest.mark.parametrize("fault", MUTANTS)
def test_the_check_finds_a_wrong_split(fault: str) -> None:
    plays = load(Request(lines=200), None)
    text = plays.train + plays.valid + plays.test
    check(plays, text)
    with pytest.raises(AssertionError, match=fault):
        check(MUTANTS[fault](plays), text)


def test_a_simulated_play_looks_like_one_and_is_repeatable() -> None:
    first, again, other = (load(Request(lines=1000, seed=seed), None) for seed in (0, 0, 1))
    assert first == again != other
    assert first.simulated and "no real data" in first.notes[0]
    whole = (first.train + first.valid + first.test).split("\n")
    assert len(whole) == 1001 and whole[0].isupper() and whole[0].endswith(":")
    assert any(not line for line in whole[:10])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, r"input\.txt does not exist; put it there or say `remeasure dataset fetch tinyshakespeare`"),
        (b"", r"input\.txt has 0 lines, 10 are needed"),
        (b"one\ntwo\n", r"input\.txt has 2 lines, 10 are needed"),
        (b"one\n\xff\n" * 10, r"input\.txt is no UTF-8 text \(byte 4\)"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "input.txt").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as refusal:
        load(Request(), tmp_path)
    assert "\n" not in str(refusal.value)


def test_a_simulated_play_too_short_to_be_split_is_refused() -> None:
    with pytest.raises(UserError, match="the simulated text has 3 lines"):
        load(Request(lines=3), None)


@pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ,
    reason="no real tinyshakespeare in $REMEASURE_DATA",
)
def test_the_published_file_is_split_in_order() -> None:
    data = load(Request(), REAL)
    check(data, (REAL / "input.txt").read_text(encoding="utf-8"))
    assert data.train.startswith("First Citizen:") and data.train.count("\n") == 32_000
    assert len(data.train) + len(data.valid) + len(data.test) == 1_115_394
