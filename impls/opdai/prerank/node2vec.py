"""node2vec on the item graph (OPDAI "Node2Vec"; authors' `node2vec_v1`, there with the labels inside).

Two items are joined by their common users, whose number is the edge's weight; biased walks are the
sentences of a skip-gram; score = the largest cosine between the candidate and a history item, which does
better on held-out training pairs than the authors' sum over those that have it among their neighbours.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..corpus import Corpus
from .similarity import CosineSimilarity, Reduction
from .walks import second_order_walks
from .word2vec import skip_gram


@dataclass(frozen=True)
class Node2Vec:
    p: float = 20.0
    """return parameter: large, so walks seldom step back"""
    q: float = 5.0
    """in-out parameter: large, so walks stay near (BFS-like)"""
    length: int = 12
    """nodes of a walk"""
    walks: int = 24
    """walks from each item; the authors make 64"""
    dimensions: int = 64
    """length of an item's vector; the authors take 128"""
    window: int = 6
    """nodes on either side that count as context"""
    negatives: int = 10
    """negative samples a pair"""
    epochs: int = 3
    """passes over the walks"""
    neighbours: int | None = None
    """nearest items of a history item that score, the authors take 200; None lets all"""
    reduction: Reduction = "max"
    """over the user's history; the authors sum"""
    name: ClassVar[str] = "node2vec"

    def fit(self, corpus: Corpus, seed: int = 0) -> CosineSimilarity:
        graph = (corpus.binary.T @ corpus.binary).tocsr()
        graph.setdiag(0)
        graph.eliminate_zeros()
        graph.sort_indices()
        rng = np.random.default_rng(seed)
        starts = np.repeat(np.flatnonzero(np.diff(graph.indptr)), self.walks)
        starts = rng.permutation(starts)
        vectors = skip_gram(
            second_order_walks(graph, starts, self.length, self.p, self.q, rng),
            items=graph.shape[0],
            dimensions=self.dimensions,
            window=self.window,
            negatives=self.negatives,
            epochs=self.epochs,
            hierarchical=False,
            seed=seed,
        )
        return CosineSimilarity(corpus.binary, vectors, self.reduction, self.neighbours)
