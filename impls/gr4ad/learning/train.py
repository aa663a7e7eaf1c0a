"""Supervised training: NTP, or VSL where samples have weights and a value token (§3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ..decoder.context import Context
from ..decoder.decoder import Decoder
from ..requests import Samples
from .updates import AdamW, Updates
from .value import ValueLoss


@dataclass(frozen=True)
class Supervised:
    """What is learned from what happened."""

    value_token: bool = True
    """Whether the eCPM token is learned (λ_e)."""
    weights: bool = True
    """Whether samples are weighed by value (§3)."""
    loss: ValueLoss = field(default_factory=ValueLoss)

    def losses(self, decoder: Decoder, context: Context, tokens: Tensor, weights: Tensor) -> Tensor:
        """float32 [B], nats, of tokens int64 [B, T + 1] that followed B contexts."""
        levels, valued = len(decoder.shape.codes), self.value_token and bool(decoder.shape.bins)
        logits = decoder(context, tokens)
        found = torch.stack([log_p(part, tokens[:, t]) for t, part in enumerate(logits.tokens)], dim=1)
        blind = [log_p(part, tokens[:, t]) for t, part in enumerate(logits.auxiliary, start=1)]
        blind = blind[: levels - 1 + valued]
        return self.loss(
            found[:, :levels],
            found[:, levels] if valued else torch.zeros(len(found)),
            weights if self.weights else torch.ones_like(weights),
            torch.stack(blind, dim=1) if blind else None,
        )


@dataclass(frozen=True)
class Recipe:
    """How a decoder is trained. The rate rises over the first twentieth, then falls to a tenth as a cosine."""

    steps: int = 600
    batch: int = 256
    adamw: AdamW = field(default_factory=AdamW)
    supervised: Supervised = field(default_factory=Supervised)

    def factor(self, done: int) -> float:
        """Of the rate, after so many steps."""
        warm = max(1, self.steps // 20)
        if done < warm:
            return (done + 1) / warm
        along = (done - warm) / max(1, self.steps - warm)
        return 0.1 + 0.45 * (1 + math.cos(math.pi * min(1.0, along)))


class Trainer:
    """A training in progress."""

    def __init__(self, decoder: Decoder, samples: Samples, recipe: Recipe, seed: int) -> None:
        self.decoder, self.samples, self.recipe = decoder, samples, recipe
        self.updates = Updates(decoder, recipe.adamw, seed)

    def step(self) -> float:
        """One update; the mean loss of its batch, in nats a sample."""
        self.updates.begin()
        given = self.samples.batch(
            self.updates.which(len(self.samples), self.recipe.batch, self.samples.upto)
        )
        loss = self.recipe.supervised.losses(self.decoder, *given).mean()
        return self.updates.apply(loss, self.recipe.factor(self.updates.done))


def train(
    decoder: Decoder,
    samples: Samples,
    recipe: Recipe,
    seed: int,
    told: Callable[[int, float], None] = lambda done, loss: None,
) -> Decoder:
    """All steps of a recipe; `told` hears of every step."""
    trainer = Trainer(decoder, samples, recipe, seed)
    for done in range(recipe.steps):
        told(done, trainer.step())
    return decoder.eval()


def log_p(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probabilities of tokens int64 [B] under logits [B, V] → [B]."""
    return logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0]
