"""Residual k-means: each level quantises what the levels before it leave over (RQ-Kmeans, and MR of §1.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .balanced import Codebook, KMeans


@dataclass(frozen=True)
class ResidualKMeans:
    """Levels of k-means; MR puts the large codebook first, plain RQ-Kmeans has equal ones without balance."""

    sizes: tuple[int, ...]
    """Codes of each level."""
    slack: float | None = 1.25
    """Largest code of a level, as a multiple of the mean; None leaves every level unbalanced."""
    iterations: int = 10
    """Times that the centres of a level move."""

    def fit(self, vectors: np.ndarray, rng: np.random.Generator) -> ResidualCodebooks:
        """Fit to distinct float32 [N, d]; raises UserError for more codes than vectors."""
        codebooks = []
        for size in self.sizes:
            codebook = KMeans(size, self.slack, self.iterations).fit(vectors, rng)
            vectors = vectors - codebook.centres[codebook.encode(vectors)]
            codebooks.append(codebook)
        return ResidualCodebooks(tuple(codebooks))


@dataclass(frozen=True, eq=False)
class ResidualCodebooks:
    """The fitted levels."""

    codebooks: tuple[Codebook, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(len(codebook) for codebook in self.codebooks)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes int64 [N, levels] of float32 [N, d]; pure: a vector's codes do not depend on the others."""
        codes = np.empty((len(vectors), len(self.codebooks)), dtype=np.int64)
        for level, codebook in enumerate(self.codebooks):
            codes[:, level] = codebook.encode(vectors)
            vectors = vectors - codebook.centres[codes[:, level]]
        return codes
