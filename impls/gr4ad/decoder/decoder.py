"""The decoder of GR4AD: plain AR with K = 0, LazyAR with K > 0 (§2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from ..config import Inputs, Shape
from .block import Block, Keys, keys
from .context import Context, ContextProcessor, Encoded
from .fuse import Fusion


@dataclass(frozen=True, eq=False)
class Logits:
    """Of every position; a position's tensor is [R, V_t]."""

    tokens: tuple[Tensor, ...]
    auxiliary: tuple[Tensor, ...]
    """The same without the previous token, for the auxiliary loss; empty where there is none. Position 1 never has
    one: it sees no token anyway."""


class Decoder(nn.Module):
    """Position tokens → K layers that no token enters → the previous token → L − K layers → a head a position."""

    def __init__(self, shape: Shape, inputs: Inputs) -> None:
        super().__init__()
        self.shape = shape
        d, positions = shape.d, shape.positions
        self.context = ContextProcessor(shape, inputs)
        self.places = nn.Parameter(torch.zeros(positions, d))
        self.tokens = nn.ModuleList(nn.Embedding(size, d) for size in shape.vocabulary[: positions - 1])
        self.blocks = nn.ModuleList(Block(d, shape.heads, shape.dropout) for _ in range(shape.layers))
        self.fuse = Fusion(d, shape.fuse) if shape.parallel else None
        self.norm = nn.RMSNorm(d)
        self.heads = nn.ModuleList(nn.Linear(d, size, bias=False) for size in shape.vocabulary)

    @property
    def lower(self) -> list[Block]:
        """The parallel stage."""
        return cast("list[Block]", list(self.blocks[: self.shape.parallel]))

    @property
    def upper(self) -> list[Block]:
        """The autoregressive stage."""
        return cast("list[Block]", list(self.blocks[self.shape.parallel :]))

    def encode(self, context: Context) -> Encoded:
        """X of R requests."""
        encoded: Encoded = self.context(context)
        return encoded

    def trunk(self, x: Keys, requests: int) -> Tensor:
        """m^(K) of all positions, float32 [R, T, d]: nothing in it depends on a token."""
        m = self.places.expand(requests, -1, -1)
        for block in self.lower:
            m = block(m, x)
        return m

    def enter(self, m: Tensor, position: int, previous: Tensor) -> Tensor:
        """m^(K) of a position > 0 [R, 1 or B, d] with its previous tokens int64 [R, B] → h^(K) [R, B, d]."""
        s: Tensor = self.tokens[position - 1](previous)
        if self.fuse is None:
            return m + s
        fused: Tensor = self.fuse(m, s)
        return fused

    def head(self, h: Tensor, position: int) -> Tensor:
        """h^(L) [..., d] → logits [..., V_t]."""
        logits: Tensor = self.heads[position](self.norm(h))
        return logits

    def forward(self, context: Context, tokens: Tensor) -> Logits:
        """Teacher forcing: `tokens` int64 [R·n, positions − 1 or more], n rows a request, of which position t sees the
        first t. What depends on no token is computed once a request; its logits are repeated."""
        x = keys(self.encode(context), self.shape.heads)
        m = self.trunk(x, len(context))
        many = len(tokens) // len(context)
        auxiliary = tuple(part.repeat_interleave(many, 0) for part in self._auxiliary(m, x))
        return Logits(self._read(self._entered(m, tokens), x), auxiliary)

    def decode(self, encoded: Encoded, tokens: Tensor) -> tuple[Tensor, ...]:
        """The same for an X that is already there, without what only training needs."""
        x = keys(encoded, self.shape.heads)
        return self._read(self._entered(self.trunk(x, len(encoded.x)), tokens), x)

    def _entered(self, m: Tensor, tokens: Tensor) -> Tensor:
        """m^(K) [R, T, d] with every position's previous token in it → h^(K) [R·n, T, d]."""
        m = m.repeat_interleave(len(tokens) // len(m), 0)
        later = [self.enter(m[:, t : t + 1], t, tokens[:, t - 1 : t]) for t in range(1, self.shape.positions)]
        return torch.cat((m[:, :1], *later), dim=1)

    def _read(self, h: Tensor, x: Keys) -> tuple[Tensor, ...]:
        for block in self.upper:
            h = block(h, x)
        return tuple(self.head(h[:, t], t) for t in range(self.shape.positions))

    def _auxiliary(self, m: Tensor, x: Keys) -> tuple[Tensor, ...]:
        if not self.training or self.fuse is None or self.shape.auxiliary == "none":
            return ()
        if self.shape.auxiliary == "through":
            return self._read(m, x)[1:]
        return tuple(self.head(m[:, t], t) for t in range(1, self.shape.positions))


def build(shape: Shape, inputs: Inputs, generator: torch.Generator) -> Decoder:
    """A decoder with weights drawn from `generator`.

    Maps are N(0, 1 / fan-in), the last one of each part of a layer divided by √(3L), so that depth does not change the
    scale. What a context embeds has about length 1, as its content vectors have. Positions, tokens and biases are
    N(0, 0.3²), so that no norm meets a vector near 0, where its gradient explodes.
    """
    decoder = Decoder(shape, inputs)
    with torch.no_grad():
        for name, weight in decoder.named_parameters():
            if name == "places" or name.startswith("tokens.") or name.endswith("bias"):
                weight.normal_(0.0, 0.3, generator=generator)
            elif weight.dim() == 2:  # norms stay 1
                scale = weight.shape[1] ** -0.5
                if name.endswith((".o.weight", ".down.weight")):
                    scale /= (3 * shape.layers) ** 0.5
                weight.normal_(0.0, scale, generator=generator)
    return decoder
