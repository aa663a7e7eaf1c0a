"""GMF in the manner of the competition's starter kit (the official baseline, "GMF++").

score = sigmoid(w . (p_u * q_i) + b), binary cross-entropy on each interaction and four sampled negatives,
Adam. Gradients touch only the batch's rows but Adam moves all of them, as in the kit. The score is given
before the sigmoid and without b, which change no order.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..corpus import Corpus
from .cooccurrence import history_sizes
from .factors import FactorScorer
from .negatives import NegativeSampler


@dataclass(frozen=True)
class GMF:
    dimensions: int = 8
    """length of a vector"""
    negatives: int = 4
    """sampled per interaction and epoch"""
    epochs: int = 25
    """passes over the interactions"""
    batch: int = 1024
    """examples a step, negatives included"""
    learning_rate: float = 5e-3
    """Adam's"""
    l2: float = 1e-7
    """Adam's weight decay"""
    init: float = 0.01
    """standard deviation of the initial vectors"""
    name: ClassVar[str] = "gmf"

    def fit(self, corpus: Corpus, seed: int = 0) -> FactorScorer:
        import torch

        rng = np.random.default_rng(seed)
        generator = torch.Generator().manual_seed(seed)
        binary = corpus.binary
        positive_users = np.repeat(np.arange(binary.shape[0]), history_sizes(binary))
        sampler = NegativeSampler(binary)
        repeated = np.tile(positive_users, 1 + self.negatives)
        labels = np.zeros(len(repeated), np.float32)
        labels[: binary.nnz] = 1

        def normal(rows: int) -> torch.Tensor:
            return (torch.randn(rows, self.dimensions, generator=generator) * self.init).requires_grad_()

        users, items = normal(binary.shape[0]), normal(binary.shape[1])
        weight = torch.randn(self.dimensions, generator=generator).div_(self.dimensions**0.5).requires_grad_()
        bias = torch.zeros(1, requires_grad=True)
        adam = torch.optim.Adam(
            [users, items, weight, bias], lr=self.learning_rate, weight_decay=self.l2, fused=True
        )
        for _ in range(self.epochs):
            drawn = sampler.draw(repeated[binary.nnz :], rng)
            candidates = np.concatenate([binary.indices, drawn])
            order = rng.permutation(len(repeated))
            for first in range(0, len(order), self.batch):
                part = order[first : first + self.batch]
                user, item = torch.from_numpy(repeated[part]), torch.from_numpy(candidates[part])
                logits = (
                    torch.nn.functional.embedding(user, users) * torch.nn.functional.embedding(item, items)
                ) @ weight + bias
                loss = torch.nn.functional.binary_cross_entropy_with_logits(
                    logits, torch.from_numpy(labels[part])
                )
                adam.zero_grad()
                torch.autograd.backward(loss)
                adam.step()
        known = (history_sizes(binary) > 0)[:, None]
        return FactorScorer((users * weight).detach().numpy() * known, items.detach().numpy())
