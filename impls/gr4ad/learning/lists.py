"""What preference objectives are told: lists of items for one context each, how likely and how good every item is.

Items are compared by strict order only: two of equal reward are neither better nor worse than each other.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from remeasure.errors import UserError


@dataclass(frozen=True, eq=False)
class Lists:
    """B lists of n items. Raises UserError for a reward that is no finite number of at least 0."""

    log_p: Tensor
    """float [B, n], nats: log p_θ(y|X) of the whole item; what is learned gets its gradient through it."""
    rewards: Tensor
    """float [B, n], at least 0: the reward model's eCPM, in any unit."""
    log_ref: Tensor | None = None
    """float [B, n], nats: log p_ref(y|X); a list with a value that is not finite has no usable reference."""
    log_old: Tensor | None = None
    """float [B, n], nats: log p of the model that drew the list, None where it is p_θ itself. Only GRPO asks."""

    def __post_init__(self) -> None:
        for name in ("rewards", "log_ref", "log_old"):
            given = getattr(self, name)
            if given is not None and given.shape != self.log_p.shape:
                raise ValueError(f"{name} has shape {tuple(given.shape)}, log_p {tuple(self.log_p.shape)}")
        wrong = ~torch.isfinite(self.rewards) | (self.rewards < 0)
        if wrong.any():
            at, item = (int(place) for place in wrong.nonzero()[0])
            raise UserError(
                f"list {at}, item {item}: reward is {float(self.rewards[at, item])}; give a number of at least 0."
            )

    def lower(self) -> Tensor:
        """bool [B, n, n]: is item j (last axis) in E_i, that is, of strictly lower reward than item i?"""
        return self.rewards[:, None, :] < self.rewards[:, :, None]

    def has_reference(self) -> Tensor:
        """bool [B]."""
        if self.log_ref is None:
            return torch.zeros(len(self.log_p), dtype=torch.bool, device=self.log_p.device)
        return torch.isfinite(self.log_ref).all(dim=1)


def ranks(scores: Tensor) -> Tensor:
    """int64 [..., n]: 1 for the highest, each rank once; of equal scores the first comes first."""
    return scores.argsort(dim=-1, descending=True, stable=True).argsort(dim=-1) + 1


def check_positive(name: str, value: float) -> None:
    """Raises UserError unless the value is above 0."""
    if not value > 0:
        raise UserError(f"{name} is {value}; give a number above 0.")


def check_known(what: str, name: str, known: Collection[str]) -> None:
    """Raises UserError, listing the known names, for an unknown one."""
    if name not in known:
        raise UserError(f"unknown {what} {name!r}; known are {', '.join(known)}.")
