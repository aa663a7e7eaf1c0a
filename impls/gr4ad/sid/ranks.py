"""The rank of every event in its group."""

from __future__ import annotations

import numpy as np


def ranks(group: np.ndarray) -> np.ndarray:
    """int64 [E], how many earlier events are of the same group, of int64 [E], at least 0."""
    order = np.argsort(group, kind="stable")
    counts = np.bincount(group)
    found = np.empty(len(group), dtype=np.int64)
    found[order] = np.arange(len(group)) - np.repeat(np.cumsum(counts) - counts, counts)
    return found
