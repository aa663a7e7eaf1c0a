"""Simulated tenants: made-up words from syllables of the tenant's own, with frequencies after Zipf's law.

Tenants differ in letters, words and length of sentences, so that a model can tell them apart; there is no grammar, and
nothing about a model's quality can be read from it.
"""

from __future__ import annotations

import numpy as np

VOCABULARY = 400
"""Words of a tenant; the word of rank r is drawn with a weight of 1 / r."""
WORDS = 250
"""Mean words of a document."""
CONSONANTS = tuple("bcdfghjklmnprstvwz")
VOWELS = tuple("aeiou")


def simulate(tenant: str, documents: int, seed: int) -> list[str]:
    """`documents` texts; a tenant's language is the same for every seed."""
    language = np.random.default_rng([0, *tenant.encode()])
    syllables = [
        consonant + vowel
        for consonant in language.choice(CONSONANTS, 7, replace=False)
        for vowel in language.choice(VOWELS, 3, replace=False)
    ]
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        # Frequent words are short.
        words["".join(language.choice(syllables, 1 + min(len(words) // 15, 2) + language.integers(2)))] = None
    names = list(words)
    weights = 1 / np.arange(1, VOCABULARY + 1)
    weights /= weights.sum()
    sentence = int(language.integers(6, 20))

    rng = np.random.default_rng([1, seed, *tenant.encode()])
    return [
        _prose(
            [names[rank] for rank in rng.choice(VOCABULARY, rng.integers(WORDS // 2, 2 * WORDS), p=weights)],
            sentence,
        )
        for _ in range(documents)
    ]


def _prose(words: list[str], sentence: int) -> str:
    """Lines of one sentence each."""
    lines = (words[start : start + sentence] for start in range(0, len(words), sentence))
    return "\n".join(f"{' '.join(line).capitalize()}." for line in lines)
