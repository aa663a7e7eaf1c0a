"""VSL: supervised learning that knows the value of what it learns (§3).

A sequence ends in one more token, the bin of its eCPM, and every sample has a weight. The number of bins, the λs and
the form of the weights are ours: the paper's are unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from remeasure.errors import UserError


@dataclass(frozen=True, eq=False)
class ValueBins:
    """Bins of about equally many training values; every bin holds at least one of them."""

    edges: np.ndarray
    """float64 [bins − 1], ascending: a value of at least edges[k] is above bin k."""
    means: np.ndarray
    """float64 [bins], ascending: mean of the training values in each bin."""

    @classmethod
    def fit(cls, values: np.ndarray, bins: int = 16) -> ValueBins:
        """Bins of the values of training, float [N]; equal values share a bin.

        Raises UserError when there are more bins than distinct values, or for a value that is none.
        """
        values = np.asarray(values, dtype=np.float64)
        wrong = np.flatnonzero(~np.isfinite(values) | (values < 0))
        if len(wrong):
            raise UserError(
                f"training value {wrong[0]} is {values[wrong[0]]}; give a finite number of at least 0."
            )
        distinct, counts = np.unique(values, return_counts=True)
        if not 1 <= bins <= len(distinct):
            raise UserError(
                f"{bins} value bins for {len(distinct)} distinct values; choose 1 to {len(distinct)}."
            )
        # First distinct value of every bin but the lowest: the nearest to the wanted count that leaves no bin empty.
        up_to = np.concatenate(([0], np.cumsum(counts)))
        order = np.arange(1, bins)
        wanted = order * (len(values) / bins)
        above = np.searchsorted(up_to, wanted)
        nearest = np.where(wanted - up_to[above - 1] < up_to[above] - wanted, above - 1, above)
        first = np.maximum.accumulate(np.maximum(nearest, 1) - order) + order
        first = np.minimum(first, len(distinct) - bins + order)
        edges = distinct[first]
        place = np.searchsorted(edges, values, side="right")
        return cls(edges, np.bincount(place, weights=values) / np.bincount(place))

    def __len__(self) -> int:
        return len(self.means)

    def of(self, values: np.ndarray) -> np.ndarray:
        """int64 of the same shape, 0 to bins − 1: each value's token."""
        return np.searchsorted(self.edges, values, side="right").astype(np.int64)

    def expected(self, log_p: Tensor) -> Tensor:
        """E[eCPM], float [...], from log-probabilities of the bins, float [..., bins], in the values' unit."""
        return log_p.exp() @ torch.as_tensor(self.means, dtype=log_p.dtype, device=log_p.device)


@dataclass(frozen=True)
class SampleWeights:
    """w = √(1 + value so far / its mean) · (1 + 2 · conversion), clipped from above."""

    mean: float
    """Mean value so far over the training samples, at least 0; where it is 0 the value says nothing."""
    cap: float
    """The 99th percentile of the training samples' weights."""

    @classmethod
    def fit(cls, so_far: np.ndarray, conversion: np.ndarray) -> SampleWeights:
        """From the training samples: each user's value up to then, float [N], and what followed, bool [N]."""
        mean = float(np.mean(so_far))
        return cls(mean, float(np.quantile(cls(mean, np.inf).of(so_far, conversion), 0.99)))

    def of(self, so_far: np.ndarray, conversion: np.ndarray) -> np.ndarray:
        """float64 [N], above 0: w_user · w_behavior, not above the cap."""
        value = np.asarray(so_far, dtype=np.float64) / (self.mean or np.inf)
        weights: np.ndarray = np.minimum(np.sqrt(1 + value) * (1 + 2 * np.asarray(conversion)), self.cap)
        return weights


@dataclass(frozen=True)
class ValueLoss:
    """L_VSL of a sample: w · (L_SID + λ_e L_eCPM) + λ_mtp L_MTP, in nats."""

    lambda_e: float = 0.3
    """λ_e of the value token; 0 learns none."""
    lambda_mtp: float = 0.3
    """λ_mtp of the trunk's own predictions, which have no weight w."""

    def __call__(
        self, log_sid: Tensor, log_value: Tensor, weights: Tensor, log_mtp: Tensor | None = None
    ) -> Tensor:
        """float [B], to be averaged by the caller, from log-probabilities of what happened.

        log_sid    float [B, T], each SID token given the earlier ones
        log_value  float [B], the value's bin given the SID
        weights    float [B]; ones for plain learning
        log_mtp    float [B, positions], the tokens given the context alone (§2.3); None where no trunk predicts them
        """
        ntp = -log_sid.sum(dim=1) - self.lambda_e * log_value
        loss = weights * ntp
        return loss if log_mtp is None else loss - self.lambda_mtp * log_mtp.sum(dim=1)
