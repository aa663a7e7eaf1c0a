"""RQ-VAE, TIGER's tokenizer: an autoencoder whose latent vector is quantised level by level, trained end to end.

The quantiser is trained by the straight-through estimator and a commitment loss, as in van den Oord et al. (2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from .balanced import Codebook
from .residual import ResidualCodebooks, ResidualKMeans


@dataclass(frozen=True)
class RQVAE:
    """The autoencoder and how it is trained."""

    sizes: tuple[int, ...] = (256, 256, 256)
    """Codes of each level."""
    latent: int = 32
    """Dimensions that are quantised."""
    hidden: int = 128
    """Width of the one hidden layer of encoder and decoder."""
    commitment: float = 0.25
    """Weight of the loss that keeps latent vectors near their codes."""
    epochs: int = 20
    """Passes over the vectors."""
    batch: int = 512
    """Vectors a step."""
    learning_rate: float = 1e-3
    """Adam's step size."""

    def fit(self, vectors: np.ndarray, rng: np.random.Generator) -> FittedRQVAE:
        """Fit to distinct float32 [N, d]; raises UserError for more codes than vectors.

        The codebooks begin as residual k-means of the latent vectors, so that none of them is far from all.
        """
        draws = torch.Generator().manual_seed(int(rng.integers(2**63)))
        data = torch.from_numpy(vectors)
        encoder = _network((data.shape[1], self.hidden, self.latent), draws)
        decoder = _network((self.latent, self.hidden, data.shape[1]), draws)
        with torch.no_grad():
            latent = encoder(data).numpy()
        first = ResidualKMeans(self.sizes, slack=None, iterations=5).fit(latent, rng)
        codebooks = [nn.Parameter(torch.from_numpy(level.centres)) for level in first.codebooks]
        optimizer = torch.optim.Adam(
            [*encoder.parameters(), *decoder.parameters(), *codebooks], self.learning_rate
        )
        for _ in range(self.epochs):
            for rows in torch.split(torch.randperm(len(data), generator=draws), self.batch):
                optimizer.zero_grad()
                lost = self._loss(data[rows], encoder, decoder, codebooks)
                lost.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        last = tuple(
            Codebook(part.detach().numpy(), np.zeros(len(part), dtype=np.float32)) for part in codebooks
        )
        return FittedRQVAE(encoder.requires_grad_(False), ResidualCodebooks(last))

    def _loss(
        self,
        batch: torch.Tensor,
        encoder: nn.Sequential,
        decoder: nn.Sequential,
        codebooks: list[nn.Parameter],
    ) -> torch.Tensor:
        """Squared error of the reconstruction and of every level, a mean over the batch."""
        latent = encoder(batch)
        rest, loss = latent, torch.zeros(())
        for codebook in codebooks:
            chosen = codebook[torch.cdist(rest.detach(), codebook.detach()).argmin(1)]
            loss = loss + (rest.detach() - chosen).square().sum(1).mean()
            loss = loss + self.commitment * (rest - chosen.detach()).square().sum(1).mean()
            rest = rest - chosen.detach()
        straight = latent - rest.detach()  # the sum of the codes, with the latent vector's gradient
        lost: torch.Tensor = loss + (decoder(straight) - batch).square().sum(1).mean()
        return lost


@dataclass(frozen=True, eq=False)
class FittedRQVAE:
    """The trained encoder and the codebooks of its latent vectors."""

    encoder: nn.Sequential
    codebooks: ResidualCodebooks

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.codebooks.sizes

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes int64 [N, levels] of float32 [N, d]; pure up to rounding, which can differ with the batch."""
        return self.codebooks.encode(self.encoder(torch.from_numpy(vectors)).numpy())


def _network(widths: tuple[int, int, int], draws: torch.Generator) -> nn.Sequential:
    first, second = nn.Linear(*widths[:2]), nn.Linear(*widths[1:])
    for layer in (first, second):
        nn.init.xavier_uniform_(layer.weight, generator=draws)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.ReLU(), second)
