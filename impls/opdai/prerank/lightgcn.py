"""LightGCN (OPDAI "graph-based pre-ranking"; authors' `lgcn_v2`): linear propagation, BPR loss, Adam.

Final embeddings are E = (1/(L+1)) (1 + A + ... + A^L) E0 with A the symmetrically normalised user-item
graph, score = dot product. Everything is linear in E0, so the gradient is written down, not recorded:
dLoss/dE = S E with a sparse S of four entries a training triple, and, since A is symmetric, dLoss/dE0 is
the same polynomial of A applied to S E.

What makes it fast on a CPU: the columns of E do not interact in a propagation, so E is held in slabs of 64
columns that stay in the cache; every product is torch's `embedding_bag`, whose AVX kernel prefetches; no
autograd graph, no per-triple gradient rows, fused Adam.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy import sparse

from ..corpus import Corpus
from .cooccurrence import history_sizes, item_counts
from .factors import FactorScorer
from .negatives import NegativeSampler

if TYPE_CHECKING:
    import torch

Progress = Callable[[int, float], None]
"""(epochs done, mean BPR loss of the last one)"""

_SLAB = 64


@dataclass(frozen=True)
class LightGCN:
    dimensions: int = 256
    """columns of the embeddings"""
    layers: int = 3
    """propagation steps L"""
    epochs: int = 120
    """passes over all interactions; fixed in advance, nothing is stopped early"""
    learning_rate: float = 3e-3
    """Adam's"""
    batch: int = 8192
    """interactions a step"""
    l2: float = 6e-5
    """on the E0 rows of the batch's users, items and negatives"""
    edge_keep: float = 1.0
    """share of the edges kept in a step, the others dropped at random and the rest scaled up"""
    init: float = 0.1
    """standard deviation of E0"""
    name: ClassVar[str] = "lightgcn"

    def fit(self, corpus: Corpus, seed: int = 0, progress: Progress | None = None) -> FactorScorer:
        import torch

        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        graph = _Graph(corpus.binary, self.layers)
        widths = [min(_SLAB, self.dimensions - first) for first in range(0, self.dimensions, _SLAB)]
        slabs = [torch.randn(graph.nodes, w, generator=generator).mul_(self.init) for w in widths]
        adam = torch.optim.Adam(slabs, lr=self.learning_rate, fused=True)
        for epoch in range(1, self.epochs + 1):
            losses = []
            for triples in self._batches(corpus.binary, rng):
                if self.edge_keep < 1:
                    graph.drop_edges(self.edge_keep, rng)
                losses.append(self._step(graph, slabs, triples))
                adam.step()
            if progress:
                progress(epoch, float(np.mean(losses)))
        graph.restore_edges()
        final = torch.cat([graph.propagate(slab) for slab in slabs], dim=1).div_(self.layers + 1).numpy()
        users = corpus.binary.shape[0]
        known = (history_sizes(corpus.binary) > 0)[:, None]
        return FactorScorer(final[:users] * known, final[users:])

    def _batches(self, binary: sparse.csr_array, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Triples (user, item, negative) as node numbers, int64 [3, b], each interaction once an epoch."""
        users = binary.shape[0]
        row = np.repeat(np.arange(users), history_sizes(binary))
        order = rng.permutation(binary.nnz)
        row, item = row[order], binary.indices[order].astype(np.int64)
        negative = NegativeSampler(binary).draw(row, rng)
        triples = np.stack([row, item + users, negative + users])
        for first in range(0, binary.nnz, self.batch):
            yield triples[:, first : first + self.batch]

    def _step(self, graph: "_Graph", slabs: "list[torch.Tensor]", triples: np.ndarray) -> float:
        """Set the slabs' gradients of the batch's loss and return the mean BPR loss."""
        import torch

        user, item, negative = triples
        size = len(user)
        users = torch.from_numpy(user)
        pairs = torch.from_numpy(np.stack([item, negative], axis=1).ravel())
        pair_starts = torch.arange(0, 2 * size + 1, 2)
        signs = torch.tensor([1.0, -1.0]).repeat(size)

        mean_twice = 1 / (self.layers + 1) ** 2
        final = [graph.propagate(slab) for slab in slabs]
        margin = torch.zeros(size)
        for slab in final:
            difference = _bag(pairs, slab, pair_starts, signs)
            margin += torch.linalg.vecdot(slab.index_select(0, users), difference)
        margin *= mean_twice

        slope = (torch.sigmoid(-margin) * (-mean_twice / size)).numpy()
        touched = np.bincount(triples.ravel(), minlength=graph.nodes).astype(np.float32)
        decay = torch.from_numpy(touched * (self.l2 / size))[:, None]
        rows = np.concatenate([user, user, item, negative])
        columns = np.concatenate([item, negative, user, user])
        slopes = np.concatenate([slope, -slope, slope, -slope])
        shape = (graph.nodes, graph.nodes)
        gradient = _csr_bag(sparse.coo_array((slopes, (rows, columns)), shape=shape).tocsr())
        for start, slab in zip(slabs, final, strict=True):
            start.grad = graph.propagate(gradient(slab)).addcmul_(start, decay)
        return float(torch.nn.functional.softplus(-margin).mean())


class _Graph:
    """The normalised bipartite graph: nodes are the users, then the items."""

    def __init__(self, binary: sparse.csr_array, layers: int) -> None:
        self.nodes = sum(binary.shape)
        self._layers = layers
        numbers = np.arange(1, binary.nnz + 1)  # from 1: a stored 0 might be dropped
        edge = sparse.csr_array((numbers, binary.indices, binary.indptr), shape=binary.shape)
        both = sparse.block_array([[None, edge], [edge.T, None]], format="csr")
        both.sort_indices()
        self._edge_of = both.data - 1
        degree = np.concatenate([history_sizes(binary), item_counts(binary)]).astype(np.float64)
        scale = 1 / np.sqrt(np.maximum(degree, 1))
        both.data = (np.repeat(scale, np.diff(both.indptr)) * scale[both.indices]).astype(np.float32)
        self._edges = both
        self._product = _csr_bag(both)

    def drop_edges(self, keep: float, rng: np.random.Generator) -> None:
        """Keep a random share of the edges, both directions of an edge alike, until the next call."""
        mask = (rng.random(len(self._edge_of) // 2, dtype=np.float32) < keep) / np.float32(keep)
        dropped = sparse.csr_array(
            (self._edges.data * mask[self._edge_of], self._edges.indices, self._edges.indptr),
            shape=self._edges.shape,
        )
        self._product = _csr_bag(dropped)

    def restore_edges(self) -> None:
        """Undo `drop_edges`."""
        self._product = _csr_bag(self._edges)

    def propagate(self, embeddings: "torch.Tensor") -> "torch.Tensor":
        """(1 + A + ... + A^L) embeddings by Horner's rule; float32 [nodes, columns]."""
        total = embeddings
        for _ in range(self._layers):
            total = self._product(total).add_(embeddings)
        return total


def _csr_bag(matrix: sparse.csr_array) -> "Callable[[torch.Tensor], torch.Tensor]":
    """The product of a CSR matrix with a dense tensor."""
    import torch

    columns = torch.from_numpy(matrix.indices.astype(np.int64))
    starts = torch.from_numpy(matrix.indptr.astype(np.int64))
    weights = torch.from_numpy(matrix.data.astype(np.float32))
    return lambda dense: _bag(columns, dense, starts, weights)


def _bag(
    columns: "torch.Tensor", dense: "torch.Tensor", starts: "torch.Tensor", weights: "torch.Tensor"
) -> "torch.Tensor":
    """Row r = sum over k in starts[r] : starts[r+1] of weights[k] * dense[columns[k]]."""
    import torch

    return torch.nn.functional.embedding_bag(
        columns, dense, starts, mode="sum", per_sample_weights=weights, include_last_offset=True
    )
