"""How the previous token enters the autoregressive stage (§2.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..config import Fuse


class Fusion(nn.Module):
    """Fuse(m, s) = W_f [m ⊙ (W_g s); s], or one of two plainer forms. m, s [R, B, d] → [R, B, d]."""

    def __init__(self, d: int, kind: Fuse) -> None:
        super().__init__()
        self.kind = kind
        self.gate = nn.Linear(d, d, bias=False) if kind == "gated" else None
        self.mix = nn.Linear(d if kind == "add" else 2 * d, d, bias=False)

    def forward(self, m: Tensor, s: Tensor) -> Tensor:
        if self.kind == "add":
            added: Tensor = m + self.mix(s)
            return added
        if self.gate is not None:
            m = m * self.gate(s)
        fused: Tensor = self.mix(torch.cat((m.expand_as(s), s), dim=-1))
        return fused
