"""GR4AD's decoder a position at a time, for many beams: what the beam search asks of a model."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .block import Past, keys
from .context import Encoded
from .decoder import Decoder

KV = Literal["shared", "replicated"]


class DecoderSteps:
    """A decoding of R requests in progress. The parallel stage runs once a request (§2.2), and all beams of a request
    share X unless told otherwise (§5)."""

    def __init__(self, decoder: Decoder, encoded: Encoded, kv: KV = "shared") -> None:
        self._decoder, self._kv = decoder, kv
        self._once = keys(encoded, decoder.shape.heads)
        self._x, self._beams = self._once, 1
        self._trunk = decoder.trunk(self._once, len(encoded.x))
        self._past: list[Past | None] = [None] * len(decoder.upper)
        self._position = 0

    def first(self) -> Tensor:
        return self._through(self._trunk[:, :1])

    def next(self, parents: Tensor, tokens: Tensor) -> Tensor:
        self._position += 1
        self._past = [past.of(parents) if past else None for past in self._past]
        if self._kv == "replicated" and tokens.shape[1] != self._beams:
            self._beams = tokens.shape[1]
            self._x = self._once.replicated(self._beams)
        at = self._trunk[:, self._position : self._position + 1]
        return self._through(self._decoder.enter(at, self._position, tokens))

    def _through(self, h: Tensor) -> Tensor:
        for place, block in enumerate(self._decoder.upper):
            h, self._past[place] = block.step(h, self._x, self._past[place])
        return self._decoder.head(h, self._position)


def teacher_forced(steps: DecoderSteps, tokens: Tensor) -> list[Tensor]:
    """Log-probabilities of given tokens int64 [R, T], position by position through the cache: T tensors [R]."""
    rows = torch.zeros(len(tokens), 1, dtype=torch.long)
    logits, found = steps.first(), []
    for position in range(tokens.shape[1]):
        token = tokens[:, position : position + 1]
        found.append(logits.log_softmax(-1).gather(-1, token[..., None])[:, 0, 0])
        if position + 1 < tokens.shape[1]:
            logits = steps.next(rows, token)
    return found
