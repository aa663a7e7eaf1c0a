"""Supervised training: NTP, or VSL where samples have weights and a value token (§3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor

from remeasure.errors import UserError

from ..decoder.decoder import Decoder, Logits
from ..requests import Samples
from .value import ValueLoss


@dataclass(frozen=True)
class Recipe:
    """How a decoder is trained. AdamW; the rate rises over the first twentieth, then falls to a tenth as a cosine."""

    steps: int = 600
    batch: int = 256
    rate: float = 2e-3
    decay: float = 0.01
    clip: float = 1.0
    """Largest norm of a gradient."""
    value_token: bool = True
    """Whether the eCPM token is learned (λ_e)."""
    weights: bool = True
    """Whether samples are weighed by value (§3)."""
    loss: ValueLoss = field(default_factory=ValueLoss)


class Trainer:
    """A training in progress. `step` is a function of nothing but what `state` holds, so that a training that is
    stopped and continued ends with the same bytes."""

    def __init__(self, decoder: Decoder, samples: Samples, recipe: Recipe, seed: int) -> None:
        self.decoder, self.samples, self.recipe = decoder, samples, recipe
        self.optimizer = torch.optim.AdamW(
            decoder.parameters(), lr=recipe.rate, weight_decay=recipe.decay, betas=(0.9, 0.98)
        )
        self._seed, self.done = seed, 0

    def step(self) -> float:
        """One update; the mean loss of its batch, in nats a sample."""
        self.decoder.train()
        context, tokens, weights = self.samples.batch(self._which())
        torch.manual_seed(_mixed(self._seed, self.done))  # dropout has no generator of its own
        loss = self._loss(self.decoder(context, tokens), tokens, weights).mean()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise UserError(f"the loss is {value} at step {self.done} of seed {self._seed}; lower the rate.")
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.decoder.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate * self._schedule()
        self.optimizer.step()
        self.done += 1
        return value

    def _which(self) -> Tensor:
        """The samples of this step: every epoch is a new order of all."""
        size = len(self.samples)
        places = torch.arange(self.done * self.recipe.batch, (self.done + 1) * self.recipe.batch)
        epochs = range(int(places[0]) // size, int(places[-1]) // size + 1)
        orders = torch.cat([_order(size, self._seed, epoch) for epoch in epochs])
        return orders[places - epochs[0] * size]

    def _loss(self, logits: Logits, tokens: Tensor, weights: Tensor) -> Tensor:
        recipe, levels = self.recipe, len(self.decoder.shape.codes)
        found = torch.stack([_log_p(part, tokens[:, t]) for t, part in enumerate(logits.tokens)], dim=1)
        valued = recipe.value_token and bool(self.decoder.shape.bins)
        value = found[:, levels] if valued else torch.zeros(len(found))
        blind = [_log_p(part, tokens[:, t]) for t, part in enumerate(logits.auxiliary, start=1)]
        blind = blind[: levels - 1 + valued]
        return recipe.loss(
            found[:, :levels],
            value,
            weights if recipe.weights else torch.ones_like(weights),
            torch.stack(blind, dim=1) if blind else None,
        )

    def _schedule(self) -> float:
        warm = max(1, self.recipe.steps // 20)
        if self.done < warm:
            return (self.done + 1) / warm
        along = (self.done - warm) / max(1, self.recipe.steps - warm)
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, along)))


def train(
    decoder: Decoder,
    samples: Samples,
    recipe: Recipe,
    seed: int,
    told: Callable[[int, float], None] = lambda done, loss: None,
) -> Decoder:
    """All steps of a recipe; `told` hears of every step."""
    trainer = Trainer(decoder, samples, recipe, seed)
    while trainer.done < recipe.steps:
        told(trainer.done, trainer.step())
    return decoder.eval()


def _log_p(logits: Tensor, tokens: Tensor) -> Tensor:
    return logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]


@lru_cache(maxsize=2)
def _order(size: int, seed: int, epoch: int) -> Tensor:
    return torch.randperm(size, generator=torch.Generator().manual_seed(_mixed(seed, -1 - epoch)))


def _mixed(seed: int, number: int) -> int:
    """Different numbers give unlike seeds."""
    return (seed * 1_000_003 + number * 7_919 + 12_345) % (2**63 - 1)
