"""Passages of WikiText-2, real or simulated: long enough, repeatable; what cannot be served is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remeasure.datasets.wikitext2 import generator
from remeasure.datasets.wikitext2.loader import Request, cut, load
from remeasure.errors import UserError

REAL = Path(os.environ.get("REMEASURE_DATA", "")) / "wikitext2"
SOME = Request(passages=5, words=40)


def articles(*lengths: list[int]) -> str:
    """A file in the published layout; every article has paragraphs of these numbers of words, named by place."""
    lines = []
    for article, paragraphs in enumerate(lengths):
        lines += ["", f" = Article {article} = ", "", " = = Section = = ", ""]
        lines += [
            " " + " ".join(f"w{article}.{place}.{word}" for word in range(length)) + " "
            for place, length in enumerate(paragraphs)
        ]
    return "\n".join([*lines, ""])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for split in ("test", "valid"):
        (tmp_path / f"{split}.txt").write_text(f"{articles([30] * 9, [30] * 6)} = {split} = \n{'x ' * 40}\n")
    return tmp_path


def check(text: str, words: int, passages: list[str]) -> None:
    paragraphs = {line.strip() for line in text.split("\n")}
    seen: list[str] = []
    for passage in passages:
        lines = passage.split("\n")
        assert len(passage.split()) >= words, "too short"
        assert len(" ".join(lines[:-1]).split()) < words, "a paragraph more than needed"
        assert set(lines) <= paragraphs and "=" not in passage, "no whole paragraphs"
        assert len({line.split(".")[0] for line in lines}) == 1, "over the end of an article"
        seen += lines
    assert len(set(seen)) == len(seen), "a paragraph twice"


@given(st.lists(st.lists(st.integers(1, 30), max_size=8), max_size=5), st.integers(1, 60))
def test_a_passage_is_whole_paragraphs_of_one_article_and_long_enough(
    lengths: list[list[int]], words: int
) -> None:
    text = articles(*lengths)
    check(text, words, list(cut(text, words)))


MUTANTS: dict[str, Callable[[str, int], list[str]]] = {
    "too short": lambda text, words: list(cut(text, words - 30)),
    "a paragraph more than needed": lambda text, words: list(cut(text, words + 30)),
    "no whole paragraphs": lambda text, words: list(cut(text.replace(" = ", " == "), words)),
    "over the end of an article": lambda text, words: list(cut(text.replace(" = A", " = = A"), words)),
    "a paragraph twice": lambda text, words: list(cut(text + text, words)),
}


@pytest.mark.parametrize("fault", MUTANTS)
def test_the_check_finds_a_wrong_cut(fault: str) -> None:
    text = articles([30] * 3, [30] * 3)
    check(text, 60, list(cut(text, 60)))
    with pytest.raises(AssertionError, match=fault):
        check(text, 60, MUTANTS[fault](text, 60))


def test_no_paragraph_that_fits_is_lost() -> None:
    assert [len(passage.split()) for passage in cut(articles([30] * 5, [10], [70]), 60)] == [60, 60, 70]


@pytest.mark.parametrize("real", [True, False])
def test_the_same_request_gives_the_same_passages_and_another_seed_others(folder: Path, real: bool) -> None:
    root = folder if real else None
    first = load(SOME, root)
    assert first == load(SOME, root)
    assert first.simulated is not real and len(first.passages) == 5
    assert all(len(passage.split()) >= 40 for passage in first.passages)
    assert first.passages != load(replace(SOME, seed=1), root).passages
    assert first.passages != load(replace(SOME, split="valid", passages=5), root).passages or real


def test_each_part_is_read_from_its_own_file(folder: Path) -> None:
    (folder / "valid.txt").write_text(articles([50]))
    data = load(Request("valid", passages=1, words=50), folder)
    assert data.passages == [" ".join(f"w0.0.{word}" for word in range(50))]
    assert data.label == "1 passages of WikiText-2 valid"


def test_simulated_words_follow_zipf_and_their_followers_are_preferred(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def shares() -> tuple[float, float]:
        words = " ".join(generator.simulate(40, 512, (0, 3))).lower().split()
        single, pairs = Counter(words), Counter(pairwise(words))
        common = [count for word, count in single.most_common(101) if word != "."]
        slope = np.polyfit(np.log(np.arange(1, 101)), np.log(common[:100]), 1)[0]
        rare = {word for word, count in single.items() if 20 <= count < 100}
        repeated = Counter(
            {pair: count for pair, count in pairs.items() if pair[0] in rare and pair[1] in rare}
        )
        return float(slope), sum(count for count in repeated.values() if count > 1) / repeated.total()

    slope, repeated = shares()
    assert -1.3 < slope < -0.7
    monkeypatch.setattr(generator, "PREFERENCE", 0.0)
    assert shares()[1] < 0.3 < repeated


def test_simulated_words_are_distinct() -> None:
    names = generator._words(np.random.default_rng(0))
    assert len(set(names)) == len(names) == generator.VOCABULARY


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, "does not exist; put it there or say `remeasure dataset fetch wikitext2`"),
        (b"", "is empty"),
        (b" \n \n", "is empty"),
        (b" = A = \n\xff words", r"no UTF-8 text \(byte 8\)"),
        (b" = A = \n too short ", "holds 0 passages of 40 words, 5 were asked for; ask for fewer"),
    ],
)
def test_a_bad_file_is_refused_in_one_sentence(tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content is not None:
        (tmp_path / "test.txt").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as refusal:
        load(SOME, tmp_path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (replace(SOME, split="train"), "no part 'train' here; ask for test or valid"),
        (replace(SOME, passages=0), "at least one passage"),
        (replace(SOME, words=0), "at least one passage"),
        (replace(SOME, passages=9), "holds 8 passages"),
    ],
)
def test_a_request_that_cannot_be_served_is_refused(folder: Path, request_: Request, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        load(request_, folder)


def test_asking_for_passages_loads_nothing_heavy() -> None:
    code = (
        "import sys; from remeasure.datasets.wikitext2.loader import Request; Request(); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "pandas"} & set(done.stdout.split())


@pytest.mark.skipif(
    not REAL.is_dir() or "REMEASURE_DATA" not in os.environ, reason="no real wikitext2 in $REMEASURE_DATA"
)
@pytest.mark.parametrize("split", ["test", "valid"])
def test_the_published_files_hold_hundreds_of_passages_for_prompts_of_512_tokens(split: str) -> None:
    data = load(Request(split, passages=300), REAL)
    assert len(set(data.passages)) == 300
    assert all(512 <= len(passage.split()) < 1024 for passage in data.passages)
