"""Preference objectives over lists (§4): DPO, S-DPO and RSPO. Each gives one loss a list, to be averaged by the caller.

They differ in which items are compared. DPO compares the best item of a list with the worst, S-DPO the best with all of
lower reward at once, RSPO every item with all of lower reward, each pair weighted by what its order is worth to NDCG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus

from remeasure.errors import UserError

from .lists import Lists, check_known, check_positive, ranks

RANKS = ("model", "reward", "none")
GAINS = ("linear", "exponential")


@dataclass(frozen=True)
class DPO:
    """The item of the highest reward against the one of the lowest, the first where several share it."""

    beta: float = 0.5
    """β above 0: how much a difference of log-ratios counts."""

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def __call__(self, lists: Lists) -> Tensor:
        """float [B], nats; 0 where all rewards are equal. Raises UserError where a reference is missing."""
        g = lists.log_p - _reference("DPO", lists)
        best, worst = (pick(dim=1, keepdim=True) for pick in (lists.rewards.argmax, lists.rewards.argmin))
        loss = softplus(self.beta * (g.gather(1, worst) - g.gather(1, best)))
        return torch.where(best != worst, loss, 0).squeeze(1)


@dataclass(frozen=True)
class SDPO:
    """The item of the highest reward against all of lower reward (arXiv 2406.09215)."""

    beta: float = 0.5
    """β above 0: how much a difference of log-ratios counts."""

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)

    def __call__(self, lists: Lists) -> Tensor:
        """float [B], nats; 0 where all rewards are equal. Raises UserError where a reference is missing."""
        g = lists.log_p - _reference("S-DPO", lists)
        best = lists.rewards.argmax(dim=1, keepdim=True)
        lower = lists.rewards < lists.rewards.gather(1, best)
        return _softmax_loss(self.beta * (g - g.gather(1, best)), lower)


@dataclass(frozen=True)
class RSPO:
    """Every item against all of lower reward, with NDCG's weights and a gated reference (§4.1)."""

    beta: float = 0.5
    """β above 0: how much a difference of log-ratios counts."""
    rank_source: Literal["model", "reward", "none"] = "model"
    """Which ranks i and j in M_ij are: by g, as the bound on 1 − NDCG needs; by reward; or none, for M = 1."""
    clip_sum_m: bool = False
    """Whether Σ_j M_ij, which is above 1 for some lists with model ranks, is scaled down to 1 there."""
    delta: float = math.inf
    """The gate's δ (its value in the paper is unknown): the reference of item i counts while log(p_θ/p_ref) is on
    average below δ over E_i and i. Infinite uses every reference there is, minus infinity none."""
    gain: Literal["linear", "exponential"] = "linear"
    """What an item at rank 1 gives to DCG: its reward v, or 2^v − 1, where rewards should be graded labels."""

    def __post_init__(self) -> None:
        check_positive("beta", self.beta)
        check_known("rank_source", self.rank_source, RANKS)
        check_known("gain", self.gain, GAINS)

    def __call__(self, lists: Lists) -> Tensor:
        """float [B], bits: the sum of an item's terms."""
        return self.terms(lists).sum(dim=1)

    def terms(self, lists: Lists) -> Tensor:
        """float [B, n], bits: each item's own term, 0 for one that none is below."""
        gate = self.gate(lists)
        weights = self.weights(lists, gate)
        difference = lists.log_p[:, None, :] - lists.log_p[:, :, None]
        if lists.log_ref is not None:
            shift = lists.log_ref[:, None, :] - lists.log_ref[:, :, None]
            difference = difference - torch.where(gate[:, :, None], shift, 0)
        return _softmax_loss(self.beta * difference + weights.log(), weights > 0) / math.log(2)

    def gate(self, lists: Lists) -> Tensor:
        """bool [B, n]: is C_ij 1? It is the same for all j, in g_i and in g_j."""
        if lists.log_ref is None:
            return torch.zeros_like(lists.log_p, dtype=torch.bool)
        inside = lists.lower() | torch.eye(lists.log_p.shape[1], dtype=torch.bool, device=lists.log_p.device)
        usable = lists.has_reference()[:, None]
        ratio = torch.where(usable, lists.log_p.detach() - lists.log_ref, 0)
        mean = (inside.to(ratio.dtype) @ ratio[:, :, None]).squeeze(2) / inside.sum(dim=2)
        return usable & (mean < self.delta)

    @torch.no_grad()
    def weights(self, lists: Lists, gate: Tensor) -> Tensor:
        """float [B, n, n]: M_ij for j in E_i, else 0. No gradient flows through it.

        With model ranks, those in row i are by the g of i's own gate, bool [B, n]: the items that g puts above i are
        then at different distances from i, so that their M add up to at most 1. The bound rests on that.
        """
        lower = lists.lower().to(lists.log_p.dtype)
        if self.rank_source == "none":
            return lower
        n = lists.log_p.shape[1]
        if self.rank_source == "reward":
            rank = ranks(lists.rewards)[:, None, :].expand(-1, n, -1)
        elif lists.log_ref is None:
            rank = ranks(lists.log_p)[:, None, :].expand(-1, n, -1)
        else:
            with_reference = ranks(lists.log_p - lists.log_ref)[:, None, :]
            rank = torch.where(gate[:, :, None], with_reference, ranks(lists.log_p)[:, None, :])
        distance = (rank - rank.diagonal(dim1=1, dim2=2)[:, :, None]).abs()
        gains = normalised_gains(lists.rewards.to(lower.dtype), self.gain)
        weights = _discount_steps(n, lower)[distance] * (gains[:, :, None] - gains[:, None, :]) * lower
        return weights / weights.sum(dim=2, keepdim=True).clamp_min(1) if self.clip_sum_m else weights


def normalised_gains(rewards: Tensor, gain: str) -> Tensor:
    """float [B, n]: gains as shares of the list's maximal DCG, so that the best order sums up to 1; 0 if all are 0.

    2^v − 1 is taken relative to 2^max, which cancels in the share and cannot overflow.
    """
    gains = rewards
    if gain == "exponential":
        gains = torch.exp2(rewards - rewards.amax(dim=1, keepdim=True)) * -torch.expm1(-math.log(2) * rewards)
    place = torch.arange(1, rewards.shape[1] + 1, dtype=rewards.dtype, device=rewards.device)
    best = (gains.sort(dim=1, descending=True).values / torch.log2(1 + place)).sum(dim=1, keepdim=True)
    return gains / torch.where(best > 0, best, 1)


def _discount_steps(n: int, like: Tensor) -> Tensor:
    """float [n]: 1/D_d − 1/D_{d+1} for a distance d of ranks from 1, D_d = log2(1 + d); 0 for d = 0."""
    distance = torch.arange(1, n + 1, dtype=like.dtype, device=like.device)
    discount = 1 / torch.log2(1 + distance)
    return torch.cat((discount.new_zeros(1), discount[:-1] - discount[1:]))


def _softmax_loss(pull: Tensor, among: Tensor) -> Tensor:
    """log(1 + Σ exp(pull)) over the last axis where `among` holds, as softplus of a logsumexp.

    What is left out gets a huge finite number and not −∞, whose logsumexp has no gradient.
    """
    nothing = torch.finfo(pull.dtype).min / 2
    return softplus(torch.where(among, pull, nothing).logsumexp(dim=-1))


def _reference(name: str, lists: Lists) -> Tensor:
    """The reference's log-probabilities; raises UserError where a list has none."""
    missing = ~lists.has_reference()
    if lists.log_ref is None or missing.any():
        raise UserError(
            f"{name} needs p_ref of every item, and list {int(missing.int().argmax())} has none; "
            "leave such lists out, or choose rspo."
        )
    return lists.log_ref
