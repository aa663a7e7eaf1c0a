"""ItemCF in four similarities (OPDAI "ItemCF"; authors' `icf_v2` = iuf, `icf_v3` = rating).

c_ij = sum of a weight over the common users of i and j; a pair of an item with itself counts 0.

    iuf      weight 1 / ln(1 + |I_u|)   c / sqrt(n_i n_j)
    cosine   weight 1                   c / sqrt(n_i n_j)
    rating   weight r_ui r_uj           c / sqrt(sum r_i^2 sum r_j^2)
    jaccard  weight 1                   c / (n_i + n_j - c)    (BiuG's "IoU", with the mean as reduction)
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from ..corpus import Corpus
from .cooccurrence import CooccurrenceScorer, history_sizes, item_counts, weigh_users
from .similarity import Reduction


@dataclass(frozen=True)
class ItemCF:
    similarity: Literal["iuf", "cosine", "rating", "jaccard"] = "iuf"
    """which of the four"""
    reduction: Reduction = "sum"
    """over the user's history"""
    name: ClassVar[str] = "itemcf"

    def fit(self, corpus: Corpus, seed: int = 0) -> CooccurrenceScorer:
        matrix = corpus.ratings if self.similarity == "rating" else corpus.binary
        left = matrix
        if self.similarity == "iuf":
            left = weigh_users(matrix, _inverse_user_frequency(history_sizes(matrix)))
        if self.similarity == "jaccard":
            count = item_counts(matrix).astype(np.float32)

            def jaccard(common: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
                overlap: np.ndarray = common / (count[i] + count[j] - common)
                return overlap

            return CooccurrenceScorer(left, matrix, jaccard, self.reduction)

        squares = np.bincount(matrix.indices, weights=matrix.data**2, minlength=matrix.shape[1])
        scale = (1 / np.sqrt(np.maximum(squares, 1))).astype(np.float32)

        def cosine(common: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
            angle: np.ndarray = common * scale[i] * scale[j]
            return angle

        return CooccurrenceScorer(left, matrix, cosine, self.reduction)


def _inverse_user_frequency(sizes: np.ndarray) -> np.ndarray:
    """1 / ln(1 + |I_u|), 0 for an empty history."""
    weights: np.ndarray = 1 / np.log1p(np.maximum(sizes, 1)) * (sizes > 0)
    return weights
