"""UVR: imitation and preference learning in one step, mixed item by item (§4.4).

Where the model's order of a list is far from the rewards' order it imitates, and where it is near it compares.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from remeasure.errors import UserError

from .lists import Lists


@dataclass(frozen=True)
class RunningMean:
    """The mean of the values met so far, which keeps the scale of (1 + v)^A from following the currency's."""

    total: float = 0.0
    """Sum of the values, older ones decayed."""
    count: float = 0.0
    """How many they are, older ones decayed."""
    decay: float = 1.0
    """What the past keeps of its weight with every batch, 0 to 1; 1 forgets nothing."""

    def add(self, values: Tensor) -> RunningMean:
        """With one more batch of values of any shape."""
        total = self.decay * self.total + float(values.sum())
        return RunningMean(total, self.decay * self.count + values.numel(), self.decay)

    @property
    def mean(self) -> float:
        """1 before the first value above 0."""
        return self.total / self.count if self.total > 0 else 1.0


def mismatch(lists: Lists) -> Tensor:
    """A = |r_p − r_v| / (n − 1), float [B, n], 0 to 1: how far an item's ranks by model and by reward are apart.

    Items that tie hold a run of ranks together, and the distance is that of the two runs, so a tie is no mismatch.
    """
    first_p, last_p = _runs(lists.log_p.detach())
    first_v, last_v = _runs(lists.rewards)
    apart = torch.maximum(first_p - last_v, first_v - last_p).clamp_min(0)
    return apart.to(lists.log_p.dtype) / max(lists.log_p.shape[1] - 1, 1)


def weights(mismatch: Tensor, values: Tensor, w_0: float = 1.0) -> tuple[Tensor, Tensor]:
    """w_VSL = w_0 (1 + v)^A and w_RL = w_0 Z_max (1 − A), float [B, n] each, without gradient.

    Z_max, which the paper leaves open, is the batch's largest (1 + v)^A: no item's w_VSL is above what a perfectly
    ordered item's w_RL is. `values` are float [B, n], at least 0, divided by their running mean.
    """
    growth = (1 + values.detach()).pow(mismatch)
    return w_0 * growth, w_0 * growth.max() * (1 - mismatch)


def mixed(imitation: Tensor, w_vsl: Tensor, comparison: Tensor, w_rl: Tensor) -> Tensor:
    """L = E[w_VSL L_VSL + w_RL L_RSPO], a scalar.

    imitation, w_vsl   float [M], the VSL loss of each sample that is imitated, and the weight of its item
    comparison, w_rl   float [B, n], each item's term of the preference loss; a list's terms add up
    """
    return (w_vsl * imitation).mean() + (w_rl * comparison).sum(dim=1).mean()


@dataclass(frozen=True)
class FixedMixture:
    """What UVR is compared with: the same two losses at weights that no item changes."""

    vsl: float = 1.0
    """Weight of imitation, at least 0."""
    rl: float = 1.0
    """Weight of comparison, at least 0."""

    def __post_init__(self) -> None:
        for name in ("vsl", "rl"):
            if not getattr(self, name) >= 0:
                raise UserError(f"the weight {name} is {getattr(self, name)}; give a number of at least 0.")

    def __call__(self, imitation: Tensor, comparison: Tensor) -> Tensor:
        """A scalar from the VSL loss of each sample, float [M], and the preference loss of each list, float [B]."""
        return self.vsl * imitation.mean() + self.rl * comparison.mean()


def _runs(scores: Tensor) -> tuple[Tensor, Tensor]:
    """First and last rank, int64 [B, n], 1 for the highest, of the run of equal scores that each item is in."""
    other, own = scores[:, None, :], scores[:, :, None]
    return 1 + (other > own).sum(dim=2), (other >= own).sum(dim=2)
