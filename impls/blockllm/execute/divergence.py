"""How far some logits are from the exact ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Divergence:
    """Between two sets of logits for the same tokens."""

    max_difference: float
    """Largest absolute difference of two logits."""
    kl: float
    """Mean KL divergence of the other distribution from the exact one, nats."""
    agreement: float
    """Share of tokens where the likeliest next token is the same."""


def divergence(exact: torch.Tensor, other: torch.Tensor) -> Divergence:
    """Of logits [tokens, vocab] from exact ones."""
    same = exact.argmax(-1) == other.argmax(-1)
    return Divergence(
        float((exact - other).abs().max()), float(kl(exact, other).mean()), float(same.double().mean())
    )


def kl(exact: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """KL divergence in nats of each row of logits [tokens, vocab], float64 [tokens]; never below zero."""
    log_p, log_q = exact.double().log_softmax(-1), other.double().log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1).clamp_(min=0)
