"""A T5 of transformers whose decoder our beam search drives, so that both decode with the same weights.

Differences to the decoder of the paper (§2.1): every layer has its own key and value maps for X, its scores are not
scaled, its self-attention adds a learned bias by distance, and one table holds the codes of all levels side by side.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..decoder.block import Keys, Past
from ..decoder.context import Encoded

if TYPE_CHECKING:
    from transformers import T5ForConditionalGeneration

START = 0
"""The token before every id; the codes of the levels follow it."""


def begins(codes: tuple[int, ...]) -> list[int]:
    """The first token of every level, and the end of the last one."""
    return [START + 1 + sum(codes[:level]) for level in range(len(codes) + 1)]


def build(
    codes: tuple[int, ...], d: int, layers: int, heads: int, generator: torch.Generator, tied: bool = True
) -> T5ForConditionalGeneration:
    """A T5 with as many encoder as decoder layers, since `generate` gives its cache as many places as the encoder has.

    Weights come from `generator` in T5's own scales: N(0, 1) tables, N(0, 1 / fan-in) maps, N(0, 1 / (d · d_head))
    queries. Not `tied`: its head is a table of its own and its outputs are not scaled, as in T5 1.1.
    """
    from transformers import T5Config, T5ForConditionalGeneration

    fields: dict[str, Any] = {
        "vocab_size": begins(codes)[-1],
        "d_model": d,
        "d_kv": d // heads,
        "d_ff": 4 * d,
        "num_layers": layers,
        "num_heads": heads,
        "tie_word_embeddings": tied,
        "decoder_start_token_id": START,
        "pad_token_id": START,
        "eos_token_id": None,
    }
    with torch.random.fork_rng(devices=[]):  # it draws weights too, from the generator of everybody
        model = T5ForConditionalGeneration(T5Config(**fields))
    if not tied:
        model.lm_head.weight = nn.Parameter(torch.empty_like(model.lm_head.weight))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 2:
                weight.normal_(0.0, _scale(name, weight, d // heads), generator=generator)
    model.train(False)
    return model


def _scale(name: str, weight: Tensor, d_head: int) -> float:
    if name.startswith("shared") or "relative" in name:
        return 1.0
    return float((weight.shape[1] * (d_head if name.endswith(".q.weight") else 1)) ** -0.5)


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer's weights, laid out for steps; i is the width of its heads together."""

    own_norm: nn.Module
    qkv: Tensor
    """float32 [3i, d], three maps as one."""
    own_out: Tensor
    """float32 [d, i]."""
    cross_norm: nn.Module
    q: Tensor
    """float32 [i, d]."""
    kv: Tensor
    """float32 [2i, d]."""
    out: Tensor
    """float32 [d, i]."""
    feed_norm: nn.Module
    feed: nn.Module
    """The model's own."""


class T5Decoder:
    """What steps read of a model; made once, not once a request."""

    def __init__(self, model: T5ForConditionalGeneration, codes: tuple[int, ...]) -> None:
        stack: Any = model.decoder
        config = model.config
        self.heads = int(config.num_heads)
        self.layers = [_layer(block) for block in stack.block]
        own = stack.block[0].layer[0].SelfAttention
        self.bias: Tensor = own.compute_bias(len(codes), len(codes))[0].permute(1, 2, 0).detach()
        """float32 [T, T, H], by query and key; the first layer's is everybody's."""
        self.norm = stack.final_layer_norm
        self.scale = float(config.d_model) ** -0.5 if config.scale_decoder_outputs else 1.0
        self.start = model.shared.weight.detach()[START]
        levels = [slice(begin, end) for begin, end in pairwise(begins(codes))]
        self.tokens = [model.shared.weight.detach()[level] for level in levels]
        self.read = [model.lm_head.weight.detach()[level] for level in levels]
        """float32 [V_t, d]: a position's codes are the only ones that can follow."""


def _layer(block: Any) -> Layer:
    own, cross, feed = block.layer
    a, x = own.SelfAttention, cross.EncDecAttention
    return Layer(
        own.layer_norm,
        torch.cat((a.q.weight, a.k.weight, a.v.weight)).detach(),
        a.o.weight.detach(),
        cross.layer_norm,
        x.q.weight.detach(),
        torch.cat((x.k.weight, x.v.weight)).detach(),
        x.o.weight.detach(),
        feed.layer_norm,
        feed.DenseReluDense,
    )


class T5Steps:
    """A decoding of R requests in progress. X's keys and values are made once a request, and its beams share them."""

    def __init__(self, decoder: T5Decoder, encoded: Encoded) -> None:
        self._decoder = decoder
        self._x = [_keys(encoded, layer.kv, decoder.heads) for layer in decoder.layers]
        self._past: list[Past | None] = [None] * len(decoder.layers)
        self._requests = len(encoded.x)
        self._position = 0

    def first(self) -> Tensor:
        return self._through(self._decoder.start.expand(self._requests, 1, -1))

    def next(self, parents: Tensor, tokens: Tensor) -> Tensor:
        self._past = [past.of(parents) if past else None for past in self._past]
        h = F.embedding(tokens, self._decoder.tokens[self._position])
        self._position += 1
        return self._through(h)

    def _through(self, h: Tensor) -> Tensor:
        decoder = self._decoder
        for place, (layer, x) in enumerate(zip(decoder.layers, self._x, strict=True)):
            mixed, self._past[place] = self._own(layer, layer.own_norm(h), self._past[place])
            h = h + mixed
            h = h + _cross(layer, layer.cross_norm(h), x)
            h = h + layer.feed(layer.feed_norm(h))
        return F.linear(decoder.norm(h) * decoder.scale, decoder.read[self._position])

    def _own(self, layer: Layer, h: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """Attention to the position itself and those before it: h [R, B, d] → [R, B, d], and the past with it."""
        r, b, _ = h.shape
        q, k, v = F.linear(h, layer.qkv).view(r, b, 3, 1, -1).unbind(2)
        if past is not None:
            k, v = torch.cat((past.k, k), dim=2), torch.cat((past.v, v), dim=2)
        of_heads = r, b, self._position + 1, self._decoder.heads, -1
        scores = (q * k).view(of_heads).sum(-1) + self._decoder.bias[self._position, : self._position + 1]
        mixed = (scores.softmax(2)[..., None] * v.view(of_heads)).sum(2)
        return F.linear(mixed.view(r, b, -1), layer.own_out), Past(k, v)


def _keys(encoded: Encoded, kv: Tensor, heads: int) -> Keys:
    """A layer's keys and values of X."""
    r, s, _ = encoded.x.shape
    k, v = F.linear(encoded.x, kv).view(r, s, 2, heads, -1).permute(2, 0, 3, 1, 4)
    bias = None
    if not bool(encoded.there.all()):
        bias = torch.zeros(r, 1, 1, s).masked_fill_(~encoded.there[:, None, None], -torch.inf)
    return Keys(k.transpose(2, 3).contiguous(), v.contiguous(), bias)


def _cross(layer: Layer, h: Tensor, x: Keys) -> Tensor:
    """Attention of B beams to their request's X: h [R, B, d] → [R, B, d]."""
    r, b, _ = h.shape
    heads = x.v.shape[1]
    scores = F.linear(h, layer.q).view(r, b, heads, -1).transpose(1, 2) @ x.k
    if x.bias is not None:
        scores = scores + x.bias
    mixed = scores.softmax(-1) @ x.v
    return F.linear(mixed.transpose(1, 2).reshape(r, b, -1), layer.out)
