"""Co-occurrence learning (§1.1): item vectors are turned so that items which are taken together lie together.

The paper tunes its whole encoder; here a linear map of given vectors is trained, by the same loss.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from .vectors import unit


@dataclass(frozen=True)
class Alignment:
    """How the map is trained."""

    steps: int = 300
    """Steps of Adam; 0 leaves the vectors as they are."""
    batch: int = 256
    """Items a step; each brings one of its positives along."""
    temperature: float = 0.1
    """τ of the loss."""
    learning_rate: float = 1e-3
    """Adam's step size."""

    def fit(self, vectors: np.ndarray, alike: sparse.csr_array, rng: np.random.Generator) -> Projection:
        """The map for vectors float32 [N, d], from positives [N, N] as `cooccurrence.positives` gives them.

        Begins at the identity, which it also is where no item has a positive.
        """
        matrix = torch.eye(vectors.shape[1], requires_grad=True)
        optimizer = torch.optim.Adam([matrix], self.learning_rate)
        counts = np.diff(alike.indptr)
        anchors = np.flatnonzero(counts)
        for _ in range(self.steps if len(anchors) else 0):
            drawn = rng.choice(anchors, min(self.batch, len(anchors)), replace=False)
            partner = alike.indices[
                alike.indptr[drawn] + (rng.random(len(drawn)) * counts[drawn]).astype(np.int64)
            ]
            rows = np.union1d(drawn, partner)
            positive = alike[rows][:, rows].toarray() > 0
            optimizer.zero_grad()
            turned = torch.from_numpy(vectors[rows]) @ matrix
            lost = loss(turned, torch.from_numpy(positive), self.temperature)
            lost.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return Projection(matrix.detach().numpy())


@dataclass(frozen=True, eq=False)
class Projection:
    """The trained map."""

    matrix: np.ndarray
    """float32 [d, d]."""

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors float32 [N, d] of unit length."""
        return unit(vectors @ self.matrix)


def loss(vectors: torch.Tensor, positive: torch.Tensor, temperature: float) -> torch.Tensor:
    """Mean over the items that have a positive of -log(Σ over positives exp(cos/τ) / Σ over all others exp(cos/τ)).

    Takes vectors float32 [B, d], brought to unit length here, and bool [B, B], False on the diagonal.
    """
    scaled = torch.nn.functional.normalize(vectors, dim=1)
    itself = torch.eye(len(vectors), dtype=torch.bool)
    scores = (scaled @ scaled.T / temperature).masked_fill(itself, -torch.inf)
    lost = scores.logsumexp(1) - scores.masked_fill(~positive, -torch.inf).logsumexp(1)
    return lost[positive.any(1)].mean()
