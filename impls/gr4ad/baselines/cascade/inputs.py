"""What every stage reads: the last items with content, account, conversion type and gap, and the value so far."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from remeasure.datasets.common.interactions import Items, Rows

from ...requests import Catalogue, Requests


def catalogue(items: Items, vectors: np.ndarray) -> Catalogue:
    """N items with content vectors float [N, c]; a place is a semantic id of one level."""
    return Catalogue.of(items, vectors, np.arange(len(items))[:, None])


@dataclass(frozen=True, eq=False)
class History:
    """Of R requests."""

    item: Tensor
    """int64 [R, S], the latest last; 0 where a history is shorter."""
    gap: Tensor
    """float32 [R, S], log(1 + time from the event to the request)."""
    there: Tensor
    """bool [R, S]."""
    user: Tensor
    """float32 [R, 1], log(1 + value so far / its mean in training)."""

    @classmethod
    def of(cls, requests: Requests, rows: Tensor | slice = slice(None)) -> History:
        """Some of the requests, cut to the longest history among them."""
        item = requests.item[rows]
        longest = int((item >= 0).sum(1).max())
        item, gap = item[:, -longest:], requests.gap[rows][:, -longest:]
        return cls(item.clamp(min=0), gap, item >= 0, requests.user[rows])


@dataclass(frozen=True, eq=False)
class Reading:
    """How rows become requests: the same in training and at serving."""

    catalogue: Catalogue
    size: int
    """S."""
    mean_spent: float
    """Mean value so far over the training rows; 1 where values say nothing."""

    @classmethod
    def of(cls, rows: Rows, known: Catalogue, size: int) -> Reading:
        """From the training rows."""
        return cls(known, size, float(rows.spent().mean()) or 1.0)

    @cached_property
    def unit(self) -> Tensor:
        """float32 [N, c], content vectors of length 1."""
        return nn.functional.normalize(self.catalogue.vectors, dim=1)

    def __call__(self, rows: Rows) -> Requests:
        return Requests.of(rows, self.catalogue, self.size, self.mean_spent)


class ItemVectors(nn.Module):
    """Content, id, account and conversion type of an item side by side under one map."""

    def __init__(self, known: Catalogue, d: int) -> None:
        super().__init__()
        self.known, side = known, max(4, d // 4)
        self.id = nn.Embedding(len(known.sids), d)
        self.account = nn.Embedding(known.inputs.accounts, side)
        self.conversion = nn.Embedding(known.inputs.conversions, side)
        self.map = nn.Linear(known.inputs.content + d + 2 * side, d)
        for table in (self.id, self.account, self.conversion):
            nn.init.normal_(table.weight, std=0.1)

    def forward(self, item: Tensor) -> Tensor:
        """int64 [...] → float32 [..., d]."""
        known = self.known
        streams = (
            known.vectors[item],
            self.id(item),
            self.account(known.account[item]),
            self.conversion(known.conversion[item]),
        )
        mapped: Tensor = self.map(torch.cat(streams, dim=-1))
        return mapped
