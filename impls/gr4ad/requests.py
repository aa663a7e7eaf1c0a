"""From the rows of a data set to what a decoder reads: contexts, and the tokens that should follow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from remeasure.datasets.common.interactions import Items, Rows
from remeasure.errors import UserError

from .config import Inputs
from .decoder.context import Context


@dataclass(frozen=True, eq=False)
class Catalogue:
    """What every model knows of N items: the same for all arms."""

    vectors: torch.Tensor
    """float32 [N, c], content."""
    sids: torch.Tensor
    """int64 [N, T]."""
    account: torch.Tensor
    """int64 [N]."""
    conversion: torch.Tensor
    """int64 [N]."""
    inputs: Inputs

    @classmethod
    def of(cls, items: Items, vectors: np.ndarray, sids: np.ndarray) -> Catalogue:
        """From a data set's items, their content vectors float [N, c] and semantic ids int [N, T]."""
        wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(wrong):
            raise UserError(f"the vector of item {items.ids[wrong[0]]} holds no number; give a finite one.")
        return cls(
            torch.from_numpy(np.ascontiguousarray(vectors, dtype=np.float32)),
            torch.from_numpy(np.ascontiguousarray(sids, dtype=np.int64)),
            torch.from_numpy(items.account.astype(np.int64)),
            torch.from_numpy(items.conversion.astype(np.int64)),
            Inputs(vectors.shape[1], len(items.accounts), len(items.conversions)),
        )


@dataclass(frozen=True, eq=False)
class Requests:
    """R rows as contexts of the last S items; only what stands in a batch is laid out."""

    catalogue: Catalogue
    item: torch.Tensor
    """int64 [R, S], −1 where a history is shorter."""
    gap: torch.Tensor
    """float32 [R, S]."""
    user: torch.Tensor
    """float32 [R, 1], log(1 + value so far / its mean in training)."""

    @classmethod
    def of(cls, rows: Rows, catalogue: Catalogue, size: int, mean_spent: float) -> Requests:
        """The last `size` items of every row. `mean_spent` is of training rows, 1 where values say nothing."""
        history = rows.last(size)
        return cls(
            catalogue,
            torch.from_numpy(history.item),
            torch.from_numpy(np.log1p(history.age).astype(np.float32)),
            torch.from_numpy(np.log1p(rows.spent() / mean_spent).astype(np.float32))[:, None],
        )

    def __len__(self) -> int:
        return len(self.item)

    def batch(self, rows: torch.Tensor | slice) -> Context:
        """The contexts of some rows."""
        item, known = self.item[rows], self.catalogue
        there = item >= 0
        place = item.clamp(min=0)
        return Context(
            content=known.vectors[place] * there[..., None],
            codes=known.sids[place],
            account=known.account[place],
            conversion=known.conversion[place],
            gap=self.gap[rows],
            there=there,
            user=self.user[rows],
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """P pairs of a request and an item that followed it."""

    requests: Requests
    row: torch.Tensor
    """int64 [P], places in the requests."""
    item: torch.Tensor
    """int64 [P]."""
    bin: torch.Tensor
    """int64 [P], the token of the pair's value."""
    weight: torch.Tensor
    """float32 [P]."""
    upto: torch.Tensor | None = None
    """float64 [P], ascending to 1: chances to be drawn, added up; None: each once an epoch."""

    def __len__(self) -> int:
        return len(self.row)

    def batch(self, which: torch.Tensor) -> tuple[Context, torch.Tensor, torch.Tensor]:
        """Contexts, tokens int64 [B, T + 1] and weights of some pairs."""
        tokens = torch.cat((self.requests.catalogue.sids[self.item[which]], self.bin[which, None]), dim=1)
        return self.requests.batch(self.row[which]), tokens, self.weight[which]
