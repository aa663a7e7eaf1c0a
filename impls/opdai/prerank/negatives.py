"""Uniform negatives outside a user's history."""

import numpy as np
from scipy import sparse

_TRIES = 100


class NegativeSampler:
    """Draws items that a user does not have.

    binary  CSR [users, items]
    """

    def __init__(self, binary: sparse.csr_array) -> None:
        self._items = binary.shape[1]
        rows = np.repeat(np.arange(binary.shape[0], dtype=np.int64), np.diff(binary.indptr))
        self._pairs = rows * self._items + binary.indices
        self._pairs.sort()

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One item a user, int64; positives are drawn again, up to 100 times, then let be."""
        users = users.astype(np.int64)
        items = rng.integers(0, self._items, len(users))
        again = np.arange(len(users))
        for _ in range(_TRIES):
            again = again[self._has(users[again], items[again])]
            if not len(again):
                break
            items[again] = rng.integers(0, self._items, len(again))
        return items

    def _has(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        wanted = users * self._items + items
        at = np.minimum(np.searchsorted(self._pairs, wanted), len(self._pairs) - 1)
        found: np.ndarray = self._pairs[at] == wanted
        return found
