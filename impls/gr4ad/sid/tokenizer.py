"""From item vectors and business fields to SIDs: content levels first, then levels that carry no content (§1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .business import Business, Counter, CounterLevel, HashLevel
from .residual import ResidualKMeans
from .rq_vae import RQVAE
from .vectors import finite


class Semantic(Protocol):
    """Fitted content levels."""

    @property
    def sizes(self) -> tuple[int, ...]: ...

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes int64 [N, levels] of float32 [N, d]."""
        ...


@dataclass(frozen=True)
class MGMRTokenizer:
    """What a tokenizer is made of; the paper's: balanced k-means with the large codebook first, then a hash."""

    semantic: ResidualKMeans | RQVAE | None
    """Content levels; None for ids without content."""
    business: tuple[HashLevel | CounterLevel, ...] = ()
    """Levels after them."""

    def fit(self, vectors: np.ndarray, business: Business, rng: np.random.Generator) -> Tokenizer:
        """Fit to the vectors float32 [N, d] of N training items, equal ones counted once, and to their fields.

        The same seed gives the same bytes. Raises UserError for a vector that is not finite, and for a codebook larger
        than the number of distinct vectors.
        """
        vectors, places = distinct(finite(vectors, "item vectors"))
        semantic = self.semantic.fit(vectors, rng) if self.semantic else None
        codes = semantic.encode(vectors)[places] if semantic else np.empty((len(business), 0), np.int64)
        levels = []
        for level in self.business:
            fitted = level.fit(codes, business)
            codes = np.column_stack([codes, fitted.encode(codes, business)])
            levels.append(fitted)
        return Tokenizer(semantic, tuple(levels))


@dataclass(frozen=True, eq=False)
class Tokenizer:
    """A fitted tokenizer."""

    semantic: Semantic | None
    business: tuple[HashLevel | Counter, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        sizes = self.semantic.sizes if self.semantic else ()
        return (*sizes, *(level.codes for level in self.business))

    def encode(self, vectors: np.ndarray, business: Business) -> np.ndarray:
        """SIDs int64 [N, levels] of N items. Pure, but for a counter, whose codes depend on the items before.

        Raises UserError for a vector that is not finite.
        """
        codes = np.empty((len(business), 0), dtype=np.int64)
        if self.semantic:
            vectors, places = distinct(finite(vectors, "item vectors"))
            codes = self.semantic.encode(vectors)[places]
        for level in self.business:
            codes = np.column_stack([codes, level.encode(codes, business)])
        return codes


def distinct(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of float32 [N, d], in an order that only they decide, and for every row its place int64 [N]."""
    rows = np.ascontiguousarray(vectors + np.float32(0))  # -0 becomes 0, whose bytes it shares from here on
    as_bytes = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).reshape(-1)
    _, first, places = np.unique(as_bytes, return_index=True, return_inverse=True)
    return rows[first], places
