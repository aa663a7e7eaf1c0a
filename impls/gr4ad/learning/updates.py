"""One update of a decoder's weights: what all ways of learning share."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from remeasure.errors import UserError


@dataclass(frozen=True)
class AdamW:
    """The optimizer's settings."""

    rate: float = 2e-3
    decay: float = 0.01
    clip: float = 1.0
    """Largest norm of a gradient."""


class Updates:
    """Counted updates. Whatever an update draws is a function of its number and the seed, so that a training that is
    stopped and continued ends with the same bytes."""

    def __init__(self, model: nn.Module, settings: AdamW, seed: int) -> None:
        self.model, self.settings, self.seed, self.done = model, settings, seed, 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=settings.rate, weight_decay=settings.decay, betas=(0.9, 0.98)
        )

    def begin(self) -> None:
        """Before the losses of an update are computed. Dropout has no generator of its own, so torch's is seeded."""
        self.model.train()
        torch.manual_seed(mixed(self.seed, self.done))

    def apply(self, loss: Tensor, factor: float = 1.0) -> float:
        """Step along the loss with `factor` times the rate → its value. Raises UserError where that is no number."""
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(f"the loss is {value} at step {self.done} of seed {self.seed}; lower the rate.")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate * factor
        self.optimizer.step()
        self.done += 1
        return value

    def generator(self, purpose: int) -> torch.Generator:
        """Of this update's draws, another one for every purpose."""
        return torch.Generator().manual_seed(mixed(self.seed + 7 * purpose, self.done))

    def which(self, size: int, batch: int, upto: Tensor | None = None) -> Tensor:
        """The samples of this update, int64 [batch], of `size`: every epoch is a new order of all. Or drawn by chances,
        float64 [size], added up to 1."""
        if upto is not None:
            drawn = torch.rand(batch, dtype=torch.float64, generator=self.generator(purpose=2))
            return torch.searchsorted(upto, drawn, right=True).clamp(max=size - 1)
        places = torch.arange(self.done * batch, (self.done + 1) * batch)
        epochs = range(int(places[0]) // size, int(places[-1]) // size + 1)
        orders = torch.cat([_order(size, self.seed, epoch) for epoch in epochs])
        return orders[places - epochs[0] * size]


def mixed(seed: int, number: int) -> int:
    """Another seed for every number."""
    return (seed * 1_000_003 + number * 7_919 + 12_345) % (2**63 - 1)


@lru_cache(maxsize=2)
def _order(size: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(mixed(seed, -1 - epoch)))
