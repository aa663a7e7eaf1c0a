"""The KV cache of one sequence, every entry tagged with the block and the delta that produced it.

Attention is computed a sequence at a time, so that it cannot depend on who else is in the batch. Reading an entry that
another block or delta made is refused: after a block was substituted in the middle of a sequence its old keys and
values would silently mix two models. (Specification §2.4, invariant 4; the paper's KV coordination.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F

from remeasure.impls.common.llama import KV, LlamaConfig

from .tiles import Mode


class Producer(NamedTuple):
    """What makes, and may read, keys and values."""

    block: str
    """Id of the attention block."""
    delta: str
    """Id of the tenant's delta at that place; empty for none."""


class Entry(NamedTuple):
    """A run of tokens in one layer."""

    start: int
    end: int
    """Positions start to end - 1."""
    producer: Producer


class ProvenanceError(RuntimeError):
    """A block was about to read keys and values that another one produced."""


@dataclass(frozen=True, eq=False)
class LayerShape:
    """What the KV needs to know of an attention block with its delta."""

    kv_heads: int
    prefix: tuple[torch.Tensor, torch.Tensor] | None = None
    """Keys and values [kv_heads, tokens, head_dim] that are read, unrotated, before the sequence's own."""

    def fits(self, other: LayerShape) -> bool:
        """Whether one could read the other's entries, if it did not mind who made them; a prefix lies among them."""
        own, others = (shape.prefix[0] if shape.prefix else None for shape in (self, other))
        return self.kv_heads == other.kv_heads and own is others


class SequenceKV:
    """Keys and values of one sequence, fp32 [kv_heads, prefix + max_tokens, head_dim] a layer.

    A layer is an attention step of the sequence's chain; layers are filled one after the other within a pass, so they
    may differ in how far they are. Own tokens have positions from 0, whatever prefix is read before them.
    """

    def __init__(
        self, config: LlamaConfig, layers: Sequence[LayerShape], max_tokens: int, mode: Mode
    ) -> None:
        """config: head_dim and rope_theta of every layer (a block's signature will do)."""
        self.max_tokens = max_tokens
        self.filled = [0] * len(layers)
        """Own tokens of every layer."""
        self._one_by_one = mode == "tile"
        # For its positions; the memory that it holds is never touched.
        self._rotary = KV(replace(config, layers=1), max_tokens)
        self._runs: list[list[tuple[int, Producer]]] = [[] for _ in layers]
        """By layer: where each run of entries ends, and its producer; the next run begins there."""
        self._tolerated: list[frozenset[Producer]] = [frozenset()] * len(layers)
        self._before = [layer.prefix[0].shape[1] if layer.prefix else 0 for layer in layers]
        shapes = [
            (layer.kv_heads, before + max_tokens, config.head_dim)
            for layer, before in zip(layers, self._before, strict=True)
        ]
        self._keys, self._values = ([torch.empty(shape) for shape in shapes] for _ in range(2))
        for index, layer in enumerate(layers):
            if layer.prefix:
                before = self._before[index]
                self._keys[index][:, :before], self._values[index][:, :before] = layer.prefix

    def entries(self, layer: int) -> list[Entry]:
        """Who produced what of a layer, in the order of positions: they cover 0 to `filled[layer]` exactly once."""
        starts = [0, *(end for end, _ in self._runs[layer])]
        return [Entry(start, *run) for start, run in zip(starts, self._runs[layer], strict=False)]

    def attend(
        self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, producer: Producer
    ) -> torch.Tensor:
        """Append keys and values [T, kv_heads, head_dim] of the next T tokens, made by `producer`, and return what
        the queries [T, heads, head_dim] see of their own past, [T, heads * head_dim].

        In tile mode a token's attention is computed alone, hence the same however a prompt is cut into passes. Raises
        ProvenanceError where the layer holds entries of another producer, ValueError where the tokens do not fit.
        """
        runs, tokens = self._runs[layer], q.shape[0]
        end = self.filled[layer] + tokens
        for _, made in runs:
            if made != producer and made not in self._tolerated[layer]:
                raise ProvenanceError(f"layer {layer} holds entries of {made}, {producer} would read them")
        if end > self.max_tokens:
            raise ValueError(f"the KV holds {self.max_tokens} tokens, layer {layer} would have {end}")
        if tokens == 1:
            seen = self._see_one(layer, q, k, v)
        elif self._one_by_one:
            apart = zip(*(torch.split(x, 1) for x in (q, k, v)), strict=True)
            seen = torch.cat([self._see_one(layer, *token) for token in apart])
        else:
            seen = self._see(layer, q, k, v)
        if runs and runs[-1][1] == producer:
            runs[-1] = (end, producer)
        else:
            runs.append((end, producer))
        return seen

    def truncate(self, tokens: int, first_layer: int = 0) -> None:
        """Forget what lies behind the first `tokens` own tokens, in every layer from `first_layer` on."""
        for layer in range(first_layer, len(self.filled)):
            if self.filled[layer] > tokens:
                self.filled[layer] = tokens
                self._runs[layer] = [
                    (min(end, tokens), producer)
                    for start, end, producer in self.entries(layer)
                    if start < tokens
                ]

    def adopt(self, layer: int, other: SequenceKV) -> None:
        """Take a layer of another KV of the same capacity, with its tags, in place of the own one."""
        self._keys[layer], self._values[layer] = other._keys[layer], other._values[layer]
        self._before[layer], self.filled[layer] = other._before[layer], other.filled[layer]
        self._runs[layer], self._tolerated[layer] = other._runs[layer], other._tolerated[layer]

    def tolerate(self, layer: int) -> None:
        """Let any producer read what the layer holds now: an approximation, which the caller has to report."""
        self._tolerated[layer] |= {producer for _, producer in self._runs[layer]}

    def _see_one(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """One token. It sees all there is, so no mask is needed, and the query heads that share keys can be taken for
        so many queries: three times as fast as repeating the keys."""
        position, keys, values = self.filled[layer], self._keys[layer], self._values[layer]
        slot = self._before[layer] + position
        keys[:, slot] = self._rotary.rotate(k, position)[0]
        values[:, slot] = v[0]
        self.filled[layer] = position + 1
        queries = self._rotary.rotate(q, position).view(1, len(keys), -1, keys.shape[-1])
        seen = F.scaled_dot_product_attention(queries, keys[None, :, : slot + 1], values[None, :, : slot + 1])
        return seen.view(1, -1)

    def _see(self, layer: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Several tokens at once."""
        position, tokens = self.filled[layer], q.shape[0]
        start = self._before[layer] + position
        end = start + tokens
        self._keys[layer][:, start:end] = self._rotary.rotate(k, position).transpose(0, 1)
        self._values[layer][:, start:end] = v.transpose(0, 1)
        self.filled[layer] = position + tokens
        seen = F.scaled_dot_product_attention(
            self._rotary.rotate(q, position).transpose(0, 1)[None],
            self._keys[layer][None, :, :end],
            self._values[layer][None, :, :end],
            # torch's causal flag aligns the first query with the first key; behind earlier tokens it needs a mask.
            attn_mask=torch.ones(tokens, end, dtype=torch.bool).tril(start) if start else None,
            is_causal=not start,
            enable_gqa=True,
        )
        return seen[0].transpose(0, 1).reshape(tokens, -1)
