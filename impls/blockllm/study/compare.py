"""How far other chains are from an original one: by the distribution of the next token, over the whole vocabulary.

This is what decides whether a block may stand in for another (specification §1.4, `out_kl`), and what is reported of
everything that is put in a model's place. Blocks may be unlike in shape: only what the chain says is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..chain import Chain
from ..execute.steps import Step, prepare
from .states import parting, rest, states
from .text import Floats, Text

ROWS = 8
"""Tokens whose distributions are worked on at a time: those of more tokens are not in the processor's cache."""
AT_ONCE = 4
"""Blocks of text whose hidden states and logits are in memory at a time."""


@dataclass(frozen=True, eq=False)
class Divergences:
    """A chain against an original, each float64 [documents]: means over the tokens of a document."""

    kl: Floats
    """KL divergence of its distribution from the original's, nat."""
    agree: Floats
    """Share of tokens after which the likeliest next token is the same."""
    cosine: Floats
    """Of the two vectors of probabilities."""
    surprise: Floats
    """Of the chain at the text itself, nat a token; the exponential of its mean is the perplexity."""


@torch.no_grad()
def compare(
    original: Chain, others: Sequence[Chain], text: Text, at_once: int = AT_ONCE
) -> tuple[Floats, list[Divergences]]:
    """The original's surprise, [documents], and how each other chain differs from it on a text.

    The work is that of the links from the first one on that is not the original's. Raises UserError for a chain that
    is not valid, ValueError for one with another vocabulary.
    """
    steps = prepare(original, "fast")
    ready = [(prepare(other, "fast"), parting(original, other)) for other in others]
    for other in others:
        if other.links[-1].block.config.vocab != original.links[-1].block.config.vocab:
            raise ValueError(f"{other.model} has another vocabulary than {original.model}")
    surprise: list[torch.Tensor] = []
    found: list[list[torch.Tensor]] = [[] for _ in others]
    for blocks in torch.split(text.blocks, at_once):
        tokens, wanted = blocks[:, :-1], blocks[:, 1:].reshape(-1)
        before = states(steps, tokens)
        truth = [_Said.of(log_p) for log_p in _log_probabilities(steps.all[-1], before[-1])]
        surprise.append(_surprise(torch.cat([said.log_p for said in truth]), wanted))
        for (own, first), kept in zip(ready, found, strict=True):
            x = rest(own, before[first], first, tokens.shape[1])
            kept.append(_apart(truth, _log_probabilities(own.all[-1], x), wanted))
    by_token = [torch.cat(kept, dim=1) for kept in found]
    return text.means(torch.cat(surprise)), [Divergences(*map(text.means, values)) for values in by_token]


def kl(p: torch.Tensor, log_p: torch.Tensor, log_q: torch.Tensor) -> torch.Tensor:
    """KL(p ‖ q) in nats of each row of probabilities [rows, tokens]; never below zero, and 0 for equal bits.

    In fp32, which is good to about 1e-6 nat.
    """
    return (p * (log_p - log_q)).sum(-1).clamp_(min=0)


@dataclass(frozen=True, eq=False, slots=True)
class _Said:
    """What the original says of `ROWS` tokens, worked out once for all that are compared with it."""

    log_p: torch.Tensor
    p: torch.Tensor
    likeliest: torch.Tensor
    norm: torch.Tensor
    """Of p."""

    @staticmethod
    def of(log_p: torch.Tensor) -> _Said:
        p = log_p.exp()
        return _Said(log_p, p, log_p.argmax(-1), p.norm(dim=-1))


def _log_probabilities(head: Step, x: torch.Tensor) -> Iterator[torch.Tensor]:
    """By `ROWS` rows, [ROWS, vocab]: always the same rows together, so that equal states give equal bits."""
    for rows in torch.split(head.logits(x), ROWS):
        yield rows.log_softmax(-1)


def _surprise(log_q: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    return -log_q.gather(-1, wanted[:, None])[:, 0]


def _apart(truth: Sequence[_Said], other: Iterator[torch.Tensor], wanted: torch.Tensor) -> torch.Tensor:
    """The fields of `Divergences` by token, [4, rows]."""
    found = []
    for said, log_q, wanted_of in zip(truth, other, torch.split(wanted, ROWS), strict=True):
        surprise = _surprise(log_q, wanted_of)
        agree = said.likeliest == log_q.argmax(-1)
        apart = kl(said.p, said.log_p, log_q)
        q = log_q.exp_()
        cosine = (said.p * q).sum(-1) / (said.norm * q.norm(dim=-1))
        found.append(torch.stack((apart, agree.float(), cosine, surprise)))
    return torch.cat(found, dim=1)
