"""How well SIDs tell items apart, and how evenly codes are used. None of these is called a collision rate (§1.2)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np


@dataclass(frozen=True)
class Separation:
    """What SIDs do to a catalogue."""

    items: int
    """Items N."""
    distinct: int
    """Distinct SIDs."""
    cpr: float
    """Compression ratio, items a distinct SID: 1 where nothing is shared."""
    collided_share: float
    """Share of the items that share their SID."""
    excess: float
    """1 - 1/cpr, the share of items that one of the same SID stands for."""
    util: float
    """Distinct SIDs as a share of the code space."""
    largest_bucket: int
    """Items of the most shared SID."""


@dataclass(frozen=True)
class Balance:
    """How evenly the codes of a level are used."""

    largest: float
    """The largest code as a multiple of the mean over all codes."""
    empty: int
    """Codes that nothing has."""


def separation(codes: np.ndarray, sizes: tuple[int, ...]) -> Separation:
    """Of SIDs int64 [N, levels] with `sizes` codes a level, N at least 1."""
    counts = np.unique(_packed(codes), return_counts=True)[1]
    items = len(codes)
    return Separation(
        items=items,
        distinct=len(counts),
        cpr=items / len(counts),
        collided_share=float(counts[counts > 1].sum() / items),
        excess=1 - len(counts) / items,
        util=len(counts) / prod(sizes),
        largest_bucket=int(counts.max()),
    )


def balance(codes: np.ndarray, size: int) -> Balance:
    """Of the codes int64 [N] of distinct vectors: equal vectors always share theirs, so they count once."""
    held = np.bincount(codes, minlength=size)
    return Balance(largest=float(held.max() * size / len(codes)), empty=int((held == 0).sum()))


def _packed(codes: np.ndarray) -> np.ndarray:
    """int64 [N], equal where rows are equal; numbered anew after every level, so that nothing overflows."""
    packed = np.zeros(len(codes), dtype=np.int64)
    for level in codes.T:
        values, place = np.unique(level, return_inverse=True)
        packed = np.unique(packed * len(values) + place, return_inverse=True)[1]
    return packed
