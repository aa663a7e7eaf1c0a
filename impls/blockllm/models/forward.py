"""Whole sequences through a whole model at once: what training and judging need, with gradients or without.

Serving runs block by block (`execute`); this runs equally long sequences side by side, each from its first token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from remeasure.impls.common import llama
from remeasure.impls.common.llama import LlamaConfig, Weights

from ..chain import Delta, Model
from ..groups import Place, places
from . import deltas


class SideBySide:
    """Attention of equally long sequences, whose tokens come one sequence after the other; keeps nothing.

    prefixes: by layer, keys and values [kv_heads, tokens, head_dim] that every sequence sees before its own. first:
    position of every sequence's first token.
    """

    def __init__(
        self,
        config: LlamaConfig,
        length: int,
        prefixes: Mapping[int, tuple[torch.Tensor, torch.Tensor]],
        first: int = 0,
    ) -> None:
        self._prefixes = prefixes
        # In float64, as `llama.KV` has it.
        inverse = config.rope_theta ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
        angles = np.arange(first, first + length)[:, None] * inverse
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self._cos = torch.from_numpy(np.concatenate((cos, cos), axis=-1))
        self._sin = torch.from_numpy(np.concatenate((-sin, sin), axis=-1))

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """See `llama.Attention`; the rows are sequences × length."""
        rows, length = len(q), len(self._cos)
        q, k, v = (x.view(-1, length, *x.shape[1:]).transpose(1, 2) for x in (q, k, v))
        k, v = self.context(index, self._rotated(k), v)
        before = k.shape[2] - length
        seen = torch.ones(length, before + length, dtype=torch.bool).tril(before)
        attended = F.scaled_dot_product_attention(self._rotated(q), k, v, attn_mask=seen, enable_gqa=True)
        return attended.transpose(1, 2).reshape(rows, -1)

    def context(
        self, index: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """All that the sequences see in a layer, from their own rotated keys and their values, each [sequences,
        kv_heads, length, head_dim]: the same behind the layer's prefix."""
        if index not in self._prefixes:
            return keys, values
        first_keys, first_values = (x.expand(len(keys), -1, -1, -1) for x in self._prefixes[index])
        return torch.cat((first_keys, keys), dim=2), torch.cat((first_values, values), dim=2)

    def _rotated(self, x: torch.Tensor) -> torch.Tensor:
        """x [sequences, heads, length, head_dim] by its positions; a pair is (i, i + head_dim / 2)."""
        return x * self._cos + x.roll(x.shape[-1] // 2, dims=-1) * self._sin


def fp32(groups: Sequence[Weights]) -> list[Weights]:
    """Groups as they are computed with, in memory of their own."""
    return [{name: tensor.to(torch.float32, copy=True) for name, tensor in group.items()} for group in groups]


def delta_fp32(delta: Delta | None) -> Delta | None:
    """The same for a delta."""
    if delta is None:
        return None
    tensors = dict(zip(delta.tensors, fp32(list(delta.tensors.values())), strict=True))
    return Delta(delta.kind, tensors, delta.settings)


def logits(
    config: LlamaConfig, groups: Sequence[Weights], tokens: torch.Tensor, delta: Delta | None = None
) -> torch.Tensor:
    """Logits [sequences, length, vocab] after every token of `tokens` [sequences, length], int64.

    groups: fp32, in the order of `groups.places`. Gradients reach whatever of them, and of the delta, wants any.
    """
    x = hidden(config, groups, tokens, delta)
    last = F.rms_norm(x, (config.width,), groups[-1]["norm"], config.norm_eps)
    matrix = groups[0]["embedding"] if config.tied else groups[-1]["lm_head"]
    return F.linear(last, matrix).view(*tokens.shape, -1)


def hidden(
    config: LlamaConfig,
    groups: Sequence[Weights],
    tokens: torch.Tensor,
    delta: Delta | None = None,
    attention: llama.Attention | None = None,
) -> torch.Tensor:
    """Hidden states [sequences × length, d] before the head. attention: instead of `SideBySide`."""
    tensors: Mapping[Place, Weights] = delta.tensors if delta else {}
    prefixes = {
        place.layer: found
        for place, held in tensors.items()
        if delta and (found := deltas.prefix(delta.kind, held))
    }
    attention = attention or SideBySide(config, tokens.shape[1], prefixes)
    x = llama.embed(tokens.reshape(-1), groups[0])
    for place, group in list(zip(places(config), groups, strict=True))[1:-1]:
        acts = deltas.acts(delta.kind, tensors[place]) if delta and place in tensors else None
        if place.kind == "attn":
            x = llama.attention(config, place.layer, x, group, attention, acts)
        else:
            x = llama.feed_forward(config, x, group, acts)
    return x


def losses(
    config: LlamaConfig, groups: Sequence[Weights], blocks: torch.Tensor, delta: Delta | None = None
) -> torch.Tensor:
    """Surprise in nats, [count, length], at each token of `blocks` [count, length + 1] but the first."""
    found = logits(config, groups, blocks[:, :-1], delta)
    wanted = blocks[:, 1:]
    return F.cross_entropy(found.flatten(0, 1), wanted.flatten(), reduction="none").view(wanted.shape)


@torch.inference_mode()
def surprise(model: Model, blocks: torch.Tensor, at_once: int = 2) -> torch.Tensor:
    """The losses of a stored model at every token of `blocks`, [count, length]; `at_once` of them in memory together.

    The exponential of their mean is the perplexity.
    """
    groups, delta = fp32(model.groups), delta_fp32(model.delta)
    starts = range(0, len(blocks), at_once)
    return torch.cat([losses(model.config, groups, blocks[n : n + at_once], delta) for n in starts])
