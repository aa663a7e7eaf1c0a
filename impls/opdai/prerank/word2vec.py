"""Word2Vec over histories (OPDAI "Word2Vec"): a user's items are a sentence, skip-gram gives item vectors.

The score is the largest cosine between the candidate and a history item; the ranker's statistics come from
`sequence_statistics`. Histories have no time stamps, so sentences are in item order and the window is wide.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..corpus import Corpus
from .similarity import CosineSimilarity, Reduction


@dataclass(frozen=True)
class Word2Vec:
    dimensions: int = 32
    """length of an item's vector"""
    window: int = 100
    """words on either side that count as context"""
    negatives: int = 10
    """negative samples a pair; the hierarchical softmax is trained beside them, as the authors do"""
    epochs: int = 15
    """passes over the sentences"""
    reduction: Reduction = "max"
    """over the cosines with the user's history"""
    name: ClassVar[str] = "word2vec"

    def fit(self, corpus: Corpus, seed: int = 0) -> CosineSimilarity:
        vectors = skip_gram(
            np.split(corpus.binary.indices, corpus.binary.indptr[1:-1]),
            items=corpus.binary.shape[1],
            dimensions=self.dimensions,
            window=self.window,
            negatives=self.negatives,
            epochs=self.epochs,
            hierarchical=True,
            seed=seed,
        )
        return CosineSimilarity(corpus.binary, vectors, self.reduction)


def skip_gram(
    sentences: Sequence[np.ndarray] | np.ndarray,
    *,
    items: int,
    dimensions: int,
    window: int,
    negatives: int,
    epochs: int,
    hierarchical: bool,
    seed: int,
) -> np.ndarray:
    """Vectors float32 [items, dimensions] of the item numbers in the sentences; one in none has zeros.

    One worker and a fixed hash, so the same seed gives the same bytes. Words are given as strings: gensim
    takes an integer word for a position when it builds the softmax tree.
    """
    import gensim.models

    vectors = np.zeros((items, dimensions), np.float32)
    if len(np.unique(np.concatenate([*sentences, []]))) < 2:
        return vectors
    model = gensim.models.Word2Vec(
        [list(map(str, sentence.tolist())) for sentence in sentences],
        sg=1,
        hs=int(hierarchical),
        negative=negatives,
        vector_size=dimensions,
        window=window,
        min_count=1,
        epochs=epochs,
        seed=seed,
        workers=1,
        hashfxn=_stable_hash,
    )
    vectors[np.array(model.wv.index_to_key, dtype=np.int64)] = model.wv.vectors
    return vectors


def _stable_hash(word: str) -> int:
    return zlib.crc32(word.encode())
