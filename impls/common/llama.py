"""A Llama-shaped decoder in fp32, as pure functions over named tensors: the real language model of this project.

One `layer` serves every system, so that what a system adds (protected memory, blocks shared between models) is all
that can change its output. Where weights and the KV cache lie is the caller's affair: the same bytes at addresses
that are multiples of 64 give the same logits, bit for bit. Callers choose torch's mode: inference, or gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F

ALIGNMENT = 64
"""Bytes; other addresses can take another path through the BLAS, whose sums differ in the last bit."""

Weights = dict[str, torch.Tensor]
"""The tensors of one part, by `TensorSpec.name`; fp32."""
Deltas = Mapping[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]
"""By projection (q, k, v, o, gate, up, down): what is added to its output, from its input [T, inputs] and output."""
Linear = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""x [T, inputs] and a matrix [outputs, inputs] -> x times its transpose, [T, outputs], in new memory."""


class Attention(Protocol):
    """What a layer needs of the memory of earlier tokens, of one sequence or of many."""

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Append keys and values [T, kv_heads, head_dim] of the next T tokens to layer `index`, rotate by position,
        and return what the queries [T, heads, head_dim] see of their own past, [T, heads * head_dim]."""


@dataclass(frozen=True)
class LlamaConfig:
    """Shape of a model: RMSNorm, rotary positions, grouped-query attention, SwiGLU, no biases."""

    layers: int
    """Decoder layers."""
    width: int
    """Size of the hidden state, d."""
    heads: int
    """Query heads, each `width / heads` wide."""
    kv_heads: int
    """Key and value heads; `heads` is a multiple of it."""
    ffn: int
    """Inner size of the feed-forward network."""
    vocab: int
    """Number of tokens."""
    rope_theta: float
    """Base of the rotary frequencies."""
    norm_eps: float
    """Added to the mean square before a norm divides by its root."""
    tied: bool
    """The embedding is the output matrix too; else the head has its own `lm_head`."""

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


SMOLLM2_135M = LlamaConfig(30, 576, 9, 3, 1536, 49152, rope_theta=100_000.0, norm_eps=1e-5, tied=True)
"""SmolLM2-135M-Instruct."""
SMALL = LlamaConfig(8, 512, 8, 8, 1408, 4096, rope_theta=10_000.0, norm_eps=1e-5, tied=False)
"""About 30 million parameters in eight layers, for random weights."""
MICRO = LlamaConfig(2, 64, 4, 2, 128, 96, rope_theta=10_000.0, norm_eps=1e-5, tied=True)
"""Small enough for tests of what is around a model."""


@dataclass(frozen=True)
class TensorSpec:
    """Name and shape of one fp32 tensor of a part; matrices are [outputs, inputs]."""

    name: str
    shape: tuple[int, ...]


def parts(config: LlamaConfig) -> list[list[TensorSpec]]:
    """The tensors of each part in the order they are used: embedding, layers 1 to L, head.

    The head is the final norm and, unless `tied`, `lm_head`.
    """
    d, kv = config.width, config.kv_heads * config.head_dim
    embedding = [TensorSpec("embedding", (config.vocab, d))]
    decoder = [
        TensorSpec("attn_norm", (d,)),
        TensorSpec("q", (d, d)),
        TensorSpec("k", (kv, d)),
        TensorSpec("v", (kv, d)),
        TensorSpec("o", (d, d)),
        TensorSpec("ffn_norm", (d,)),
        TensorSpec("gate", (config.ffn, d)),
        TensorSpec("up", (config.ffn, d)),
        TensorSpec("down", (d, config.ffn)),
    ]
    last = [TensorSpec("norm", (d,))]
    if not config.tied:
        last.append(TensorSpec("lm_head", (config.vocab, d)))
    return [embedding, *([decoder] * config.layers), last]


class KV:
    """Keys and values of one sequence, fp32 [layers, kv_heads, max_tokens, head_dim] each, and how far each layer is.

    buffer: writable memory of `KV.nbytes(config, max_tokens)` bytes to live in, at an address that is a multiple of
    64; without it the memory is its own. filled: how many tokens the buffer's contents already stand for. Raises
    ValueError for a buffer of another size or place.
    """

    def __init__(
        self, config: LlamaConfig, max_tokens: int, buffer: memoryview | None = None, filled: int = 0
    ) -> None:
        shape = (2, config.layers, config.kv_heads, max_tokens, config.head_dim)
        if buffer is None:
            memory = torch.empty(shape)
        else:
            if buffer.nbytes != self.nbytes(config, max_tokens):
                raise ValueError(f"a KV of {self.nbytes(config, max_tokens)} bytes was given {buffer.nbytes}")
            memory = torch.frombuffer(buffer, dtype=torch.float32).view(shape)
            if memory.data_ptr() % ALIGNMENT:
                raise ValueError(f"the KV's buffer does not begin at a multiple of {ALIGNMENT} bytes")
        self.keys, self.values = memory[0], memory[1]
        self.max_tokens = max_tokens
        self.filled = [filled] * config.layers
        # float64 first: float32 angles of late positions would be wrong in the third digit.
        inverse = config.rope_theta ** (-np.arange(0, config.head_dim, 2) / config.head_dim)
        angles = np.arange(max_tokens)[:, None, None] * inverse
        cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
        self._cos = torch.from_numpy(np.concatenate((cos, cos), axis=-1))
        self._sin = torch.from_numpy(np.concatenate((-sin, sin), axis=-1))

    @staticmethod
    def nbytes(config: LlamaConfig, max_tokens: int) -> int:
        """Bytes of keys and values together."""
        return 2 * config.layers * config.kv_heads * max_tokens * config.head_dim * 4

    def rotate(self, x: torch.Tensor, start: int) -> torch.Tensor:
        """Rotary positions start, start + 1, … for x [T, heads, head_dim]; a pair is (i, i + head_dim / 2)."""
        cos, sin = self._cos[start : start + len(x)], self._sin[start : start + len(x)]
        return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)

    def append(
        self, index: int, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Rotate the keys and store both, [T, kv_heads, head_dim], as the next tokens of a layer; returns all that
        it holds, [kv_heads, tokens, head_dim], as views of the memory. Raises ValueError where they do not fit."""
        start, end = self.filled[index], self.filled[index] + len(keys)
        if end > self.max_tokens:
            raise ValueError(f"the KV holds {self.max_tokens} tokens, layer {index} would have {end}")
        self.keys[index, :, start:end] = self.rotate(keys, start).transpose(0, 1)
        self.values[index, :, start:end] = values.transpose(0, 1)
        self.filled[index] = end
        return self.keys[index, :, :end], self.values[index, :, :end]

    def attend(self, index: int, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """See `Attention`; raises ValueError where the tokens do not fit."""
        tokens, start = len(q), self.filled[index]
        keys, values = self.append(index, k, v)
        attended = F.scaled_dot_product_attention(
            self.rotate(q, start).transpose(0, 1)[None],
            keys[None],
            values[None],
            # torch's causal flag aligns the first query with the first key; behind earlier tokens it needs a mask.
            attn_mask=torch.ones(tokens, start + tokens, dtype=torch.bool).tril(start) if start else None,
            is_causal=not start,
            enable_gqa=True,
        )
        return attended[0].transpose(0, 1).reshape(tokens, -1)


def embed(tokens: torch.Tensor, weights: Weights) -> torch.Tensor:
    """Hidden states [T, d] of tokens [T], int64; weights of part 0."""
    return F.embedding(tokens, weights["embedding"])


def layer(
    config: LlamaConfig,
    index: int,
    x: torch.Tensor,
    weights: Weights,
    kv: Attention,
    deltas: Deltas | None = None,
    linear: Linear = F.linear,
) -> torch.Tensor:
    """One decoder layer: hidden states [T, d] of the next T tokens -> [T, d]; appends them to the KV of layer `index`.

    index counts from 0, so its weights are those of part `index + 1`. Raises ValueError where the KV is full.
    """
    x = attention(config, index, x, weights, kv, deltas, linear)
    return feed_forward(config, x, weights, deltas, linear)


def attention(
    config: LlamaConfig,
    index: int,
    x: torch.Tensor,
    weights: Weights,
    kv: Attention,
    deltas: Deltas | None = None,
    linear: Linear = F.linear,
) -> torch.Tensor:
    """A layer's first half, with its residual: [T, d] -> [T, d]."""
    inner = F.rms_norm(x, (config.width,), weights["attn_norm"], config.norm_eps)
    q, k, v = (
        _project(name, inner, weights, deltas, linear).view(len(x), -1, config.head_dim)
        for name in ("q", "k", "v")
    )
    return _project("o", kv.attend(index, q, k, v), weights, deltas, linear).add_(x)


def feed_forward(
    config: LlamaConfig,
    x: torch.Tensor,
    weights: Weights,
    deltas: Deltas | None = None,
    linear: Linear = F.linear,
) -> torch.Tensor:
    """A layer's second half, with its residual: [T, d] -> [T, d]."""
    inner = F.rms_norm(x, (config.width,), weights["ffn_norm"], config.norm_eps)
    gate, up = (_project(name, inner, weights, deltas, linear) for name in ("gate", "up"))
    return _project("down", _gated(gate, up), weights, deltas, linear).add_(x)


def _project(
    name: str, inputs: torch.Tensor, weights: Weights, deltas: Deltas | None, linear: Linear
) -> torch.Tensor:
    """Always new memory, which the callers reuse: fresh pages cost more than the arithmetic on them."""
    outputs = linear(inputs, weights[name])
    if not deltas or name not in deltas:
        return outputs
    added = deltas[name](inputs, outputs)
    return outputs + added if added.requires_grad else outputs.add_(added)


def _gated(gate: torch.Tensor, up: torch.Tensor) -> torch.Tensor:
    """SwiGLU's product; in the memory of `gate` unless a gradient needs that."""
    if gate.requires_grad or up.requires_grad:
        return F.silu(gate) * up
    return F.silu(gate, inplace=True).mul_(up)


def head(
    config: LlamaConfig, x: torch.Tensor, weights: Weights, embedding: torch.Tensor | None = None
) -> torch.Tensor:
    """Logits [vocab] after the last of the hidden states x [T, d]; `embedding` [vocab, d] is needed where tied."""
    last = F.rms_norm(x[-1:], (config.width,), weights["norm"], config.norm_eps)
    matrix = embedding if config.tied else weights["lm_head"]
    if matrix is None:
        raise ValueError("the head of a tied model needs the embedding")
    return F.linear(last, matrix)[0]


def random_weights(config: LlamaConfig, seed: int) -> list[Weights]:
    """Weights of every part: normal with variance 1 / inputs (norms: near 1), the same numbers for the same seed."""
    rng = np.random.default_rng(seed)

    def drawn(spec: TensorSpec) -> torch.Tensor:
        # A clone, because torch's own memory is aligned and numpy's is not.
        values = torch.from_numpy(rng.standard_normal(spec.shape, dtype=np.float32)).clone()
        return values.div_(10).add_(1) if len(spec.shape) == 1 else values.div_(spec.shape[1] ** 0.5)

    return [{spec.name: drawn(spec) for spec in part} for part in parts(config)]


@torch.inference_mode()
def greedy(
    config: LlamaConfig, all_weights: Sequence[Weights], tokens: Sequence[int], new_tokens: int
) -> tuple[list[int], torch.Tensor]:
    """The oracle: the likeliest `new_tokens` tokens after `tokens`, and the logits [new_tokens, vocab] of each step."""
    kv = KV(config, len(tokens) + new_tokens)
    fed, chosen, logits = list(tokens), [], []
    for _ in range(new_tokens):
        x = embed(torch.tensor(fed), all_weights[0])
        for index in range(config.layers):
            x = layer(config, index, x, all_weights[index + 1], kv)
        logits.append(head(config, x, all_weights[-1], all_weights[0]["embedding"]))
        fed = [int(logits[-1].argmax())]
        chosen += fed
    return chosen, torch.stack(logits)
