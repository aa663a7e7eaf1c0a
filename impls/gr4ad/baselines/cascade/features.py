"""What trees see of a candidate: what the towers say, how often it was taken, and how it is related to the history."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from remeasure.datasets.common.interactions import Log, Rows

from ...requests import Catalogue
from ..config import Neighbours
from ..neighbours import transitions
from ..popularity import recency
from ..scoring import weights
from .inputs import History, Reading

NAMES = (
    "log p of the towers",
    "log place among the retrieved",
    "log events",
    "log of what followed the history's items",
    "events in the history",
    "gap to the latest of them",
    "share of the history with its account",
    "share of the history with its conversion type",
    "largest cosine with the history",
    "mean cosine with the history",
    "cosine with the latest item",
    "log length of the history",
    "value so far",
)
NEVER = 40.0
"""Stands for the gap to what is not in the history: above any log(1 + seconds)."""
FOLLOWS = Neighbours()
"""How what followed is counted and how a history's baskets are weighed."""


@dataclass(frozen=True, eq=False)
class Counts:
    """What was taken, and what after what."""

    events: np.ndarray
    """float32 [N], late ones count more where there is a half-life."""
    follows: sparse.csr_array
    """float32 [N, N], from an item to those in the next basket."""

    @classmethod
    def of(cls, log: Log, items: int, half_life: float | None, scale: float = 1.0) -> Counts:
        """Counted in a log, times `scale`: a part's counts stand for those of the whole."""
        late = recency(log.time, log.time.max(), half_life)
        events = np.bincount(log.item, late, items).astype(np.float32)
        follows = transitions(log, items, replace(FOLLOWS, half_life=half_life))
        return cls(events * np.float32(scale), follows * np.float32(scale))


def features(
    rows: Rows,
    history: History,
    reading: Reading,
    counts: Counts,
    item: np.ndarray,
    log_p: np.ndarray,
    place: np.ndarray,
) -> np.ndarray:
    """float32 [R, C, features] of candidates int64 [R, C], with the towers' log p and their places from 0."""
    size = history.item.shape[1]
    there = history.there.numpy()
    length = there.sum(axis=1, keepdims=True)
    known, asked = reading.catalogue, torch.from_numpy(item)

    def equal(of: torch.Tensor) -> np.ndarray:
        """bool [R, C, S], where candidate and event have the same."""
        found: np.ndarray = (of[asked][:, :, None] == of[history.item][:, None]).numpy() & there[:, None]
        return found

    itself = equal(known.sids[:, 0])
    gap = np.where(itself, history.gap.numpy()[:, None], NEVER).min(axis=2)
    cosine = (reading.unit[asked] @ reading.unit[history.item].transpose(1, 2)).numpy()
    follows = weights(rows, size, FOLLOWS.decay, len(counts.events)) @ counts.follows
    found = (
        log_p,
        np.log1p(place),
        np.log1p(counts.events[item]),
        np.log1p(np.take_along_axis(follows.toarray(), item, axis=1)),
        itself.sum(axis=2),
        gap,
        equal(known.account).sum(axis=2) / length,
        equal(known.conversion).sum(axis=2) / length,
        np.where(there[:, None], cosine, -1.0).max(axis=2),
        np.where(there[:, None], cosine, 0.0).sum(axis=2) / length,
        cosine[:, :, -1],
        np.broadcast_to(np.log(length), item.shape),
        np.broadcast_to(history.user.numpy(), item.shape),
    )
    return np.stack(found, axis=2, dtype=np.float32, casting="unsafe")


def macs(known: Catalogue, size: int) -> int:
    """Multiplications of one candidate's features with S events: cosines, and one sum over what followed."""
    return size * (known.inputs.content + 1)
