"""An inverted file: vectors in lists by their nearest centre. How a two-tower model's ads are searched in part (§5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Inverted:
    """Never changed: `with_items` gives another one."""

    centres: np.ndarray
    """float32 [k, d]."""
    begin: np.ndarray
    """int64 [k + 1]: list c is `begin[c]:begin[c + 1]`."""
    item: np.ndarray
    """int64 [N], by list, then by item."""
    vectors: np.ndarray
    """float32 [N, d], in that order, so that a list is read in one piece."""

    @classmethod
    def fitted(cls, vectors: np.ndarray, lists: int, rng: np.random.Generator) -> Inverted:
        """Of N items with vectors float32 [N, d]: ten rounds of Lloyd's k-means from items drawn by `rng`."""
        from sklearn.cluster import KMeans

        means = KMeans(lists, init="random", n_init=1, max_iter=10, random_state=int(rng.integers(2**31)))
        return cls.of(vectors, means.fit(vectors).cluster_centers_)

    @classmethod
    def of(cls, vectors: np.ndarray, centres: np.ndarray) -> Inverted:
        """Of N items with vectors float32 [N, d] and the centres float32 [k, d]."""
        empty = np.zeros(len(centres) + 1, dtype=np.int64)
        nothing = cls(centres, empty, np.empty(0, np.int64), np.empty((0, vectors.shape[1]), np.float32))
        return nothing.with_items(vectors, np.arange(len(vectors)))

    def with_items(self, vectors: np.ndarray, items: np.ndarray) -> Inverted:
        """And these items int64 [n], ascending and above all that are there, with vectors float32 [n, d]."""
        nearest = _nearest(vectors, self.centres)
        order = np.argsort(nearest, kind="stable")
        place = self.begin[1:][nearest[order]]  # behind its list
        counts = np.bincount(nearest, minlength=len(self.centres))
        return Inverted(
            self.centres,
            self.begin + np.concatenate(([0], np.cumsum(counts))),
            np.insert(self.item, place, items[order]),
            np.insert(self.vectors, place, vectors[order], axis=0),
        )

    def find(self, query: np.ndarray, k: int, probes: int) -> np.ndarray:
        """The k items with the largest product with float32 [d], among the `probes` nearest lists: int64 [≤ k]."""
        near = np.argsort(_squares(query[None], self.centres)[0], kind="stable")[:probes]
        rows = np.concatenate([np.arange(self.begin[c], self.begin[c + 1]) for c in near])
        best = np.argsort(-(self.vectors[rows] @ query), kind="stable")[:k]
        found: np.ndarray = self.item[rows[best]]
        return found


def _nearest(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """int64 [n]; 4,096 vectors at a time, so that their distances stay in the cache."""
    parts = [_squares(vectors[at : at + 4096], centres).argmin(1) for at in range(0, len(vectors), 4096)]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def _squares(vectors: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances [n, k], less a number for each vector."""
    squares: np.ndarray = np.einsum("kd,kd->k", centres, centres) - 2 * (vectors @ centres.T)
    return squares
