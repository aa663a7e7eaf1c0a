"""GRPO, the preference objective that RSPO is compared with (§4): advantages within a list, and a clipped ratio."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from remeasure.errors import UserError

from .lists import Lists


@dataclass(frozen=True)
class GRPO:
    """Every item is pushed up or down by how far its reward is from the list's mean."""

    kl: float = 0.04
    """Weight of the divergence from the reference, at least 0."""
    clip: float = 0.2
    """ε: a ratio p_θ/p_old beyond 1 ± ε gains nothing more."""

    def __post_init__(self) -> None:
        for name in ("kl", "clip"):
            if not getattr(self, name) >= 0:
                raise UserError(f"{name} is {getattr(self, name)}; give a number of at least 0.")

    def __call__(self, lists: Lists) -> Tensor:
        """float [B], nats: mean over the items of −min(ρ A, clip(ρ) A) + kl · (r − log r − 1), r = p_ref/p_θ.

        Where the list has no reference the second part is missing.
        """
        old = lists.log_p.detach() if lists.log_old is None else lists.log_old
        ratio = torch.exp(lists.log_p - old)
        gain = advantages(lists.rewards.to(ratio.dtype))
        clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
        loss = -torch.minimum(ratio * gain, clipped * gain)
        if lists.log_ref is not None:
            # A reference equal to the model itself has neither divergence nor gradient.
            log_ref = torch.where(lists.has_reference()[:, None], lists.log_ref, lists.log_p.detach())
            apart = log_ref - lists.log_p
            loss = loss + self.kl * (torch.expm1(apart) - apart)
        return loss.mean(dim=1)


def advantages(rewards: Tensor) -> Tensor:
    """float [B, n]: (v − mean) / standard deviation within the list; 0 where all rewards are equal."""
    apart = rewards - rewards.mean(dim=1, keepdim=True)
    spread = apart.square().mean(dim=1, keepdim=True).sqrt()
    varied = rewards.amax(dim=1, keepdim=True) > rewards.amin(dim=1, keepdim=True)
    return torch.where(varied & (spread > 0), apart / torch.where(spread > 0, spread, 1), 0)
