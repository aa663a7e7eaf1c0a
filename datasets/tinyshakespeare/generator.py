"""A simulated play: speakers take turns in lines of made-up words, so nothing about a model's quality shows in it."""

from __future__ import annotations

import numpy as np

SPEAKERS = tuple(f"{name}:" for name in ("BALDO", "CORIN", "DROMIO", "FESTE", "LUCETTA", "TIMON"))
VOCABULARY = 600
"""Words; the word of rank r is drawn with a weight of 1 / r."""


def simulate(lines: int, seed: int) -> str:
    """A text of `lines` lines; the words are the same for every seed."""
    language = np.random.default_rng(0)
    syllables = [consonant + vowel for consonant in "bdfghklmnprstw" for vowel in "aeiou"]
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        words["".join(language.choice(syllables, 1 + min(len(words) // 60, 2)))] = None
    names = np.array(list(words))
    weights = 1 / np.arange(1, VOCABULARY + 1)
    weights /= weights.sum()

    rng = np.random.default_rng([1, seed])
    text: list[str] = []
    while len(text) < lines:
        text.append(SPEAKERS[rng.integers(len(SPEAKERS))])
        for _ in range(rng.integers(1, 6)):
            spoken = " ".join(names[rng.choice(VOCABULARY, rng.integers(5, 9), p=weights)])
            text.append(f"{spoken.capitalize()}{',.;!?'[rng.integers(5)]}")
        text.append("")
    return "".join(f"{line}\n" for line in text[:lines])
