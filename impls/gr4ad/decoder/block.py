"""One layer (§2.1): cross-attention to X, causal self-attention over positions, feed-forward.

X has no key and value maps: all layers read the same tensor, as in OneRec-V2. Two forms of each attention stand side
by side: over all positions of a training row, and over the beams of one position while decoding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .context import Encoded


@dataclass(frozen=True, eq=False)
class Keys:
    """X laid out for attention: `heads` slices of d, once a request and not once a beam."""

    k: Tensor
    """float32 [R, H, d / H, S], or [R·B, …] where it is replicated."""
    v: Tensor
    """float32 [R, H, S, d / H]."""
    bias: Tensor | None
    """float32 [R, 1, 1, S], −inf where a history is shorter; None where none is."""

    def replicated(self, beams: int) -> Keys:
        """A copy for every beam, as generic decoders hold it."""
        k, v = (part.repeat_interleave(beams, dim=0) for part in (self.k, self.v))
        return Keys(k, v, None if self.bias is None else self.bias.repeat_interleave(beams, dim=0))


def keys(encoded: Encoded, heads: int) -> Keys:
    """X as the keys and values of `heads` heads."""
    r, s, d = encoded.x.shape
    v = encoded.x.view(r, s, heads, d // heads).transpose(1, 2).contiguous()
    bias = None
    if not bool(encoded.there.all()):
        bias = torch.zeros(r, 1, 1, s, dtype=v.dtype).masked_fill_(~encoded.there[:, None, None], -torch.inf)
    return Keys(v.transpose(2, 3).contiguous(), v, bias)


class CrossAttention(nn.Module):
    """W_Q and W_O around attention to X: 2d² + 2Sd multiplications a token."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.o = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)

    def forward(self, h: Tensor, x: Keys) -> Tensor:
        """h [R, B, d], whose B tokens share the request's X → [R, B, d]. A replicated X has a row a token."""
        r, b, d = h.shape
        rows = len(x.v)  # R, or R·B where X is replicated
        q = self.q(h).view(rows, -1, self.heads, d // self.heads).transpose(1, 2)
        scores = q @ x.k * (d // self.heads) ** -0.5
        if x.bias is not None:
            scores = scores + x.bias
        mixed: Tensor = scores.softmax(-1) @ x.v
        out: Tensor = self.o(mixed.transpose(1, 2).reshape(r, b, d))
        return out


@dataclass(frozen=True, eq=False)
class Past:
    """Keys and values of earlier positions, one row a beam."""

    k: Tensor
    """float32 [R, B, t, d]."""
    v: Tensor

    def of(self, parents: Tensor) -> Past:
        """What the beams `parents` int64 [R, B'] have seen."""
        if self.k.shape[1] == 1:  # one beam: all children share it
            return Past(
                self.k.expand(-1, parents.shape[1], -1, -1), self.v.expand(-1, parents.shape[1], -1, -1)
            )
        requests = torch.arange(len(parents))[:, None]
        return Past(self.k[requests, parents], self.v[requests, parents])


class FewPositions(nn.Module):
    """Attention of one query to t ≤ T + 1 positions. So few that a product and a sum are quicker than a tiny matrix
    product for every beam and head."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """q [R, B, 1, d], k and v [R, B, t, d] → [R, B, d]."""
        r, b, t, d = k.shape
        of_heads = self.heads, d // self.heads
        scores = (q * k).view(r, b, t, *of_heads).sum(-1) * of_heads[1] ** -0.5
        mixed: Tensor = (scores.softmax(2)[..., None] * v.view(r, b, t, *of_heads)).sum(2)
        return mixed.view(r, b, d)


class SelfAttention(nn.Module):
    """Over at most T + 1 positions: 4d² + 2td multiplications a token."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.o = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)
        self.few = FewPositions(heads)

    def forward(self, h: Tensor) -> Tensor:
        """All positions of each row at once: h [R, T, d] → [R, T, d]."""
        r, t, d = h.shape
        q, k, v = self.qkv(h).view(r, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.o(mixed.transpose(1, 2).reshape(r, t, d))
        return out

    def step(self, h: Tensor, past: Past | None) -> tuple[Tensor, Past]:
        """One more position of every beam: h [R, B, d] → [R, B, d], and the past with it."""
        r, b, d = h.shape
        q, k, v = self.qkv(h).view(r, b, 3, 1, d).unbind(2)
        if past is not None:
            k, v = torch.cat((past.k, k), dim=2), torch.cat((past.v, v), dim=2)
        return self.o(self.few(q, k, v)), Past(k, v)


class Block(nn.Module):
    """Pre-norm and residual around the three parts."""

    def __init__(self, d: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.RMSNorm(d) for _ in range(3))
        self.drop = nn.Dropout(dropout)
        self.cross = CrossAttention(d, heads)
        self.own = SelfAttention(d, heads)
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def forward(self, h: Tensor, x: Keys) -> Tensor:
        """All positions of each row, n rows a request: h [R·n, T, d], x of R requests → [R·n, T, d]."""
        together = self.norms[0](h).view(len(x.v), -1, h.shape[2])
        h = h + self.drop(self.cross(together, x).view_as(h))
        h = h + self.drop(self.own(self.norms[1](h)))
        return self._feed(h)

    def step(self, h: Tensor, x: Keys, past: Past | None) -> tuple[Tensor, Past]:
        """One position of every beam: [R, B, d] → [R, B, d]."""
        h = h + self.cross(self.norms[0](h), x)
        mixed, past = self.own.step(self.norms[1](h), past)
        return self._feed(h + mixed), past

    def _feed(self, h: Tensor) -> Tensor:
        out: Tensor = h + self.drop(self.down(F.gelu(self.up(self.norms[2](h)), approximate="tanh")))
        return out
