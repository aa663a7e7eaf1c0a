"""UserCF with inverse item frequency (OPDAI "UserCF"; authors' `ucf_v1`, with ratings `ucf_v2`).

s_uv = sum over common items of 1 / ln(1 + n_i), / sqrt(|I_u| |I_v|); score(u, c) = sum of s_uv over the
users v who have c, optionally times r_vc. Exchanging the two sums makes it an item similarity,

    sim(i, c) = 1 / ln(1 + n_i) * sum over users v of i and c of r_vc / sqrt(|I_v|),

summed over the history and divided by sqrt(|I_u|), so no user x user matrix is ever needed. A candidate
that the user already has counts the user herself as a neighbour; lists never hold one.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..corpus import Corpus
from .cooccurrence import CooccurrenceScorer, history_sizes, item_counts, weigh_users


@dataclass(frozen=True)
class UserCF:
    rated: bool = False
    """multiply by the neighbour's rating of the candidate"""
    name: ClassVar[str] = "usercf"

    def fit(self, corpus: Corpus, seed: int = 0) -> CooccurrenceScorer:
        sizes = history_sizes(corpus.binary)
        left = weigh_users(corpus.binary, 1 / np.sqrt(np.maximum(sizes, 1)))
        right = corpus.ratings if self.rated else corpus.binary
        rarity = (1 / np.log1p(np.maximum(item_counts(corpus.binary), 1))).astype(np.float32)

        def similarity(common: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
            weighted: np.ndarray = common * rarity[i]
            return weighted

        return CooccurrenceScorer(left, right, similarity, reduction="root", keep_self=True)
