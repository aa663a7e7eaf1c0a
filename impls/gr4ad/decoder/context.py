"""The context processor (§2.1): one linear map a stream, and no encoder above it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..config import Inputs, Shape


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of R requests: the last S items of each, the latest last, and the user."""

    content: Tensor
    """float32 [R, S, c], content vectors; 0 where a history is shorter."""
    codes: Tensor
    """int64 [R, S, T], semantic ids."""
    account: Tensor
    """int64 [R, S]."""
    conversion: Tensor
    """int64 [R, S]."""
    gap: Tensor
    """float32 [R, S], log(1 + time from the event to the request)."""
    there: Tensor
    """bool [R, S], False where a history is shorter."""
    user: Tensor
    """float32 [R, u]."""

    def __len__(self) -> int:
        return len(self.user)

    def rows(self, which: Tensor | slice) -> Context:
        """Some of the requests."""
        return Context(*(getattr(self, name)[which] for name in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class Encoded:
    """X, the keys and values of every layer's cross-attention."""

    x: Tensor
    """float32 [R, 1 + S, d], normalised: the user first, then the items."""
    there: Tensor
    """bool [R, 1 + S]."""


class ContextProcessor(nn.Module):
    """Streams → X. Items are content, id, account, conversion type and gap side by side under one map."""

    def __init__(self, shape: Shape, inputs: Inputs) -> None:
        super().__init__()
        d, side = shape.d, max(8, shape.d // 4)
        self.codes = nn.ModuleList(nn.Embedding(size, d) for size in shape.codes)
        self.account = nn.Embedding(inputs.accounts, side)
        self.conversion = nn.Embedding(inputs.conversions, side)
        self.items = nn.Linear(inputs.content + d + 2 * side + 1, d)
        self.user = nn.Linear(inputs.user, d)
        self.norm, self.drop = nn.RMSNorm(d), nn.Dropout(shape.dropout)

    def forward(self, context: Context) -> Encoded:
        """Context of R requests → X."""
        codes = torch.stack([table(context.codes[..., t]) for t, table in enumerate(self.codes)]).sum(0)
        streams = (
            context.content,
            codes,
            self.account(context.account),
            self.conversion(context.conversion),
            context.gap[..., None],
        )
        items = self.items(torch.cat(streams, dim=-1))
        x = self.drop(self.norm(torch.cat((self.user(context.user)[:, None], items), dim=1)))
        there = torch.cat((torch.ones_like(context.there[:, :1]), context.there), dim=1)
        return Encoded(x, there)
