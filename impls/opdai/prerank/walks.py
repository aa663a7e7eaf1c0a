"""Second-order random walks of node2vec on a CSR graph, all walkers at once.

The next step from v, having come from t, goes to x with the weight of edge (v, x) times 1/p if x = t, 1 if x
is a neighbour of t, 1/q otherwise. Steps are drawn by rejection: propose a neighbour by edge weight, accept
with factor / largest factor, so no table over edge pairs is ever built.
"""

import numpy as np
from scipy import sparse


def second_order_walks(
    graph: sparse.csr_array, starts: np.ndarray, length: int, p: float, q: float, rng: np.random.Generator
) -> np.ndarray:
    """Walks int64 [len(starts), length].

    graph   CSR [n, n], symmetric, indices sorted; the values are positive edge weights
    starts  first node of each walk; each needs at least one neighbour
    p, q    return and in-out parameters
    """
    edges = _Edges(graph)
    walks = np.empty((len(starts), length), np.int64)
    walks[:, 0] = starts
    if length > 1:
        walks[:, 1] = edges.propose(walks[:, 0], rng)
    largest = max(1 / p, 1.0, 1 / q)
    for step in range(2, length):
        before, here = walks[:, step - 2], walks[:, step - 1]
        waiting = np.arange(len(starts))
        while len(waiting):
            there = edges.propose(here[waiting], rng)
            factor = np.where(edges.joins(before[waiting], there), 1.0, 1 / q)
            factor[there == before[waiting]] = 1 / p
            accepted = rng.random(len(waiting)) * largest < factor
            walks[waiting[accepted], step] = there[accepted]
            waiting = waiting[~accepted]
    return walks


class _Edges:
    """Weighted neighbours and edge look-up of a CSR graph."""

    def __init__(self, graph: sparse.csr_array) -> None:
        self._nodes = graph.shape[0]
        self._starts = graph.indptr.astype(np.int64)
        self._neighbours = graph.indices.astype(np.int64)
        self._keys = np.repeat(np.arange(self._nodes), np.diff(self._starts)) * self._nodes + self._neighbours
        self._reach = np.concatenate([[0.0], np.cumsum(graph.data, dtype=np.float64)])

    def propose(self, nodes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """A neighbour of each node, drawn by edge weight."""
        first, last = self._starts[nodes], self._starts[nodes + 1]
        low, high = self._reach[first], self._reach[last]
        picked = np.searchsorted(self._reach, low + rng.random(len(nodes)) * (high - low), side="right") - 1
        neighbours: np.ndarray = self._neighbours[np.clip(picked, first, last - 1)]
        return neighbours

    def joins(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Whether (left, right) is an edge."""
        wanted = left * self._nodes + right
        at = np.minimum(np.searchsorted(self._keys, wanted), len(self._keys) - 1)
        found: np.ndarray = self._keys[at] == wanted
        return found
