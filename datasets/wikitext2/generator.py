"""Simulated prose: a Markov chain over made-up words whose frequencies follow Zipf's law.

It stands in where there are no real files, for tests and for costs that depend on the number of tokens only. It has
no grammar and no topics, so nothing about a model's quality can be read from it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

VOCABULARY = 2000
"""Made-up words; the word of rank r is drawn with a weight of 1 / r."""
FOLLOWERS = 8
"""Words that a word prefers behind it."""
PREFERENCE = 0.5
"""Probability that the next word is one of them, all equally likely; else it is drawn by frequency alone."""
SENTENCE = 20
"""Mean words of a sentence, its full stop included."""
SYLLABLES = [consonant + vowel for consonant in "bdfghjklmnprstvwyz" for vowel in "aeiou"]


def simulate(passages: int, words: int, seed: Sequence[int]) -> list[str]:
    """`passages` texts of exactly `words` words each, full stops counted; the language is the same for every seed."""
    language = np.random.default_rng(0)
    names = _words(language)
    frequency = 1 / np.arange(1, VOCABULARY + 1)
    frequency /= frequency.sum()
    followers = language.choice(VOCABULARY, size=(VOCABULARY, FOLLOWERS), p=frequency)

    rng = np.random.default_rng(seed)
    drawn = rng.choice(VOCABULARY, size=(words, passages), p=frequency)
    preferred = rng.random((words, passages)) < PREFERENCE
    which = rng.integers(FOLLOWERS, size=(words, passages))
    for place in range(1, words):
        drawn[place] = np.where(preferred[place], followers[drawn[place - 1], which[place]], drawn[place])
    stops = rng.random((words, passages)) < 1 / SENTENCE
    stops[-1] = True
    return [_prose([names[word] for word in drawn[:, n]], stops[:, n].tolist()) for n in range(passages)]


def _words(rng: np.random.Generator) -> list[str]:
    """Distinct words by rank; frequent ones are short."""
    names: dict[str, None] = {}
    while len(names) < VOCABULARY:
        syllables = 1 + len(names) // 50 if len(names) < 150 else 3 + int(rng.integers(2))
        names["".join(rng.choice(SYLLABLES, size=syllables))] = None
    return list(names)


def _prose(words: list[str], stops: list[bool]) -> str:
    """Words as sentences: a full stop replaces the word where `stops` says so, the next word gets a capital."""
    begins = [True, *stops[:-1]]
    shown = (
        "." if stop else word.capitalize() if begin else word
        for word, stop, begin in zip(words, stops, begins, strict=True)
    )
    return " ".join(shown)
