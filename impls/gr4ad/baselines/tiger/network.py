"""The encoder-decoder: what it reads, what it writes, and how it writes a level at a time for many beams."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...decoder.block import CrossAttention, Keys, Past, SelfAttention
from .config import Tiger


class Feed(nn.Module):
    """Feed-forward with ReLU."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(d, 4 * d, bias=False), nn.Linear(4 * d, d, bias=False)

    def forward(self, h: Tensor) -> Tensor:
        """float32 [..., d] to the same."""
        out: Tensor = self.down(self.up(h).relu())
        return out


class BothWays(SelfAttention):
    """Every token sees all that are there."""

    def forward(self, h: Tensor, there: Tensor | None = None) -> Tensor:
        """h [R, n, d], there bool [R, 1, 1, n] or None for all → [R, n, d]."""
        r, n, d = h.shape
        q, k, v = self.qkv(h).view(r, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=there)
        out: Tensor = self.o(mixed.transpose(1, 2).reshape(r, n, d))
        return out


class Reader(nn.Module):
    """A layer of the encoder."""

    def __init__(self, config: Tiger) -> None:
        super().__init__()
        self.rate = config.dropout
        self.norms = nn.ModuleList(nn.RMSNorm(config.dim) for _ in range(2))
        self.own, self.feed = BothWays(config.dim, config.heads), Feed(config.dim)

    def forward(self, h: Tensor, there: Tensor | None) -> Tensor:
        """h [R, n, d], there bool [R, 1, 1, n] → [R, n, d]."""
        h = h + F.dropout(self.own(self.norms[0](h), there), self.rate, self.training)
        return h + F.dropout(self.feed(self.norms[1](h)), self.rate, self.training)


class Writer(nn.Module):
    """A layer of the decoder: the tokens so far, then the history, then feed-forward."""

    def __init__(self, config: Tiger) -> None:
        super().__init__()
        self.rate = config.dropout
        self.norms = nn.ModuleList(nn.RMSNorm(config.dim) for _ in range(3))
        self.own, self.cross = (
            SelfAttention(config.dim, config.heads),
            CrossAttention(config.dim, config.heads),
        )
        self.kv = nn.Linear(config.dim, 2 * config.dim, bias=False)
        self.feed = Feed(config.dim)

    def keys(self, read: Tensor, bias: Tensor | None) -> Keys:
        """What was read, float32 [R, n, d], as this layer's keys and values."""
        k, v = self.kv(read).unflatten(-1, (2, self.own.heads, -1)).permute(2, 0, 3, 1, 4)
        return Keys(k.transpose(2, 3).contiguous(), v.contiguous(), bias)

    def forward(self, h: Tensor, x: Keys) -> Tensor:
        """All positions of m rows a request: h [R·m, T, d] → the same."""
        h = h + F.dropout(self.own(self.norms[0](h)), self.rate, self.training)
        together = self.norms[1](h).view(len(x.v), -1, h.shape[2])
        h = h + F.dropout(self.cross(together, x).view_as(h), self.rate, self.training)
        return h + F.dropout(self.feed(self.norms[2](h)), self.rate, self.training)

    def step(self, h: Tensor, x: Keys, past: Past | None) -> tuple[Tensor, Past]:
        """One position of every beam: [R, B, d] → [R, B, d]."""
        mixed, past = self.own.step(self.norms[0](h), past)
        h = h + mixed
        h = h + self.cross(self.norms[1](h), x)
        return h + self.feed(self.norms[2](h)), past


class Network(nn.Module):
    """Codes of a history → keys and values → logits of the id that follows, level by level."""

    def __init__(self, codes: tuple[int, ...], config: Tiger) -> None:
        super().__init__()
        d, self.codes, self.rate = config.dim, codes, config.dropout
        self.tables = nn.ModuleList(nn.Embedding(size, d) for size in codes)
        self.events, self.levels = nn.Embedding(config.size, d), nn.Embedding(len(codes), d)
        self.places = nn.Embedding(len(codes), d)
        self.readers = nn.ModuleList(Reader(config) for _ in range(config.encoder))
        self.writers = nn.ModuleList(Writer(config) for _ in range(config.decoder))
        self.norms = nn.ModuleList(nn.RMSNorm(d) for _ in range(2))
        self.heads = nn.ModuleList(nn.Linear(d, size, bias=False) for size in codes)
        for table in (*self.tables, self.events, self.levels, self.places):
            nn.init.normal_(table.weight, std=d**-0.5)
        for table, head in zip(self.tables, self.heads, strict=True):
            head.weight = table.weight

    @property
    def layers(self) -> list[Writer]:
        """The decoder's."""
        return cast("list[Writer]", list(self.writers))

    def read(self, codes: Tensor, there: Tensor) -> list[Keys]:
        """Codes int64 [R, S, T] of histories, the latest event last, there bool [R, S] → keys and values a layer."""
        r, s, levels = codes.shape
        tokens = torch.stack([table(codes[..., t]) for t, table in enumerate(self.tables)], dim=2)
        ages = self.events.weight[:s].flip(0)
        h = (tokens + ages[:, None] + self.levels.weight).view(r, s * levels, -1)
        h = F.dropout(h, self.rate, self.training)
        mask = None if bool(there.all()) else there.repeat_interleave(levels, 1)[:, None, None]
        for layer in self.readers:
            h = layer(h, mask)
        h = self.norms[0](h)
        bias = None if mask is None else torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
        return [layer.keys(h, bias) for layer in self.layers]

    def enter(self, position: int, previous: Tensor) -> Tensor:
        """The input of a position > 0, from its previous tokens int64 [...] → [..., d]."""
        h: Tensor = self.tables[position - 1](previous) + self.places.weight[position]
        return h

    def head(self, h: Tensor, position: int) -> Tensor:
        """h [..., d] → logits [..., V_t]."""
        logits: Tensor = self.heads[position](self.norms[1](h))
        return logits

    def forward(self, keys: list[Keys], sids: Tensor) -> Tensor:
        """log p of ids int64 [R·m, T], m for each of R requests, float32 [R·m]."""
        begin = self.places.weight[0].expand(len(sids), -1)
        later = [self.enter(t, sids[:, t - 1]) for t in range(1, len(self.codes))]
        h = F.dropout(torch.stack((begin, *later), dim=1), self.rate, self.training)
        for layer, x in zip(self.layers, keys, strict=True):
            h = layer(h, x)
        found = [
            -F.cross_entropy(self.head(h[:, t], t), sids[:, t], reduction="none")
            for t in range(len(self.codes))
        ]
        return torch.stack(found).sum(0)


class TigerSteps:
    """A decoding in progress, as the beam search wants it."""

    def __init__(self, network: Network, keys: list[Keys]) -> None:
        self._network, self._keys, self._position = network, keys, 0
        self._past: list[Past | None] = [None] * len(keys)

    def first(self) -> Tensor:
        begin = self._network.places.weight[0]
        return self._through(begin.expand(len(self._keys[0].v), 1, -1))

    def next(self, parents: Tensor, tokens: Tensor) -> Tensor:
        self._position += 1
        self._past = [past.of(parents) if past else None for past in self._past]
        return self._through(self._network.enter(self._position, tokens))

    def _through(self, h: Tensor) -> Tensor:
        for place, (layer, x) in enumerate(zip(self._network.layers, self._keys, strict=True)):
            h, self._past[place] = layer.step(h, x, self._past[place])
        return self._network.head(h, self._position)
