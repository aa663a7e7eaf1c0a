"""Passages to prompt a language model with: WikiText-2 where its files are, else the declared simulator.

numpy is imported where it is needed: cases import `Request` from here, and listing them must stay quick.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from remeasure.datasets.common.text import read_text
from remeasure.errors import UserError

Split = Literal["test", "valid"]
LAYOUT = "words and punctuation stand apart, rare words are <unk>, as published"


@dataclass(frozen=True)
class Request:
    """Which passages."""

    split: Split = "test"
    """Part of the data set; choose a configuration on `valid`, report on `test`."""
    passages: int = 64
    """How many, drawn without replacement from all that the part holds; no two share a paragraph."""
    words: int = 512
    """Least words of a passage, as separated by blanks. Each is at least one token, whatever the tokenizer."""
    seed: int = 0
    """Seed of the draw, and of the simulated text."""


@dataclass(frozen=True)
class Passages:
    """What a case gets. `label` names it in reports; `passages` are paragraphs joined by line ends."""

    label: str
    simulated: bool
    notes: tuple[str, ...]
    passages: list[str]


def load(request: Request, root: Path | None) -> Passages:
    """The requested passages of the files in `root`; None is the simulator.

    Raises UserError for a split that does not exist, a file that is missing, empty or no UTF-8 text, and for more
    passages than there are.
    """
    import numpy as np

    if request.split not in get_args(Split):
        raise UserError(f"WikiText-2 has no part {request.split!r} here; ask for test or valid.")
    if min(request.passages, request.words) < 1:
        raise UserError("at least one passage of at least one word must be asked for.")
    label = f"{request.passages} passages of WikiText-2 {request.split}"
    if root is None:
        from .generator import simulate

        passages = simulate(request.passages, request.words, (int(request.split == "valid"), request.seed))
        return Passages(
            f"{label}, simulated", True, ("no real data: the text is that of a Markov chain",), passages
        )
    path = root / f"{request.split}.txt"
    text = read_text(path, "wikitext2")
    if not text.strip():
        raise UserError(f"{path} is empty; say `remeasure dataset fetch wikitext2`.")
    found = list(cut(text, request.words))
    if len(found) < request.passages:
        raise UserError(
            f"{path} holds {len(found)} passages of {request.words} words, {request.passages} were asked for; "
            "ask for fewer or shorter ones."
        )
    drawn = np.random.default_rng(request.seed).permutation(len(found))[: request.passages]
    return Passages(label, False, (LAYOUT,), [found[place] for place in drawn])


def cut(text: str, words: int) -> Iterator[str]:
    """Cut the articles, in order, into passages of whole paragraphs with at least `words` words each.

    Headings are left out, and so is what remains of an article when it is too short for another passage.
    """
    passage: list[str] = []
    held = 0
    for line in text.split("\n"):
        paragraph = line.strip()
        if paragraph.startswith("= ") and paragraph.endswith(" ="):
            if not paragraph.startswith("= ="):
                passage, held = [], 0
            continue
        if not paragraph:
            continue
        passage.append(paragraph)
        held += len(paragraph.split())
        if held >= words:
            yield "\n".join(passage)
            passage, held = [], 0
