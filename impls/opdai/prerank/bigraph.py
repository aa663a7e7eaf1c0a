"""Two steps on the user-item graph (OPDAI "bi-graph"; authors' `bi_graph`).

sim(i, j) = sum over common users u of 1 / (ln(n_i + 1) ln(|I_u| + 1)); the diagonal is kept. Where the
authors write -10 for a pair without a common user, this scores 0.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..corpus import Corpus
from .cooccurrence import CooccurrenceScorer, history_sizes, item_counts, weigh_users


@dataclass(frozen=True)
class BiGraph:
    name: ClassVar[str] = "bigraph"

    def fit(self, corpus: Corpus, seed: int = 0) -> CooccurrenceScorer:
        sizes = history_sizes(corpus.binary)
        left = weigh_users(corpus.binary, 1 / np.log1p(np.maximum(sizes, 1)))
        share = (1 / np.log1p(np.maximum(item_counts(corpus.binary), 1))).astype(np.float32)

        def similarity(common: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
            flow: np.ndarray = common * share[i]
            return flow

        return CooccurrenceScorer(left, corpus.binary, similarity, keep_self=True)
