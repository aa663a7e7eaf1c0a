"""Which items stand behind each semantic id, and how ads come and go (§1.2, §5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .trie import PrefixTrie, pack


@dataclass(frozen=True, eq=False)
class Index:
    """Sorted arrays. Never changed: `with_items` and `without` give another one, so that a request that began with
    this one ends with it."""

    trie: PrefixTrie
    packed: np.ndarray
    """int64 [N], ascending."""
    item: np.ndarray
    """int64 [N], by packed id, then by item."""

    @classmethod
    def of(cls, sids: np.ndarray, codes: tuple[int, ...], items: np.ndarray | None = None) -> Index:
        """Of the items `items` int64 [n], else of all; `sids` int64 [N, T] has a row for every item that there is."""
        items = np.arange(len(sids)) if items is None else np.sort(items)
        packed = pack(sids[items], codes)
        order = np.argsort(packed, kind="stable")
        return cls(PrefixTrie.of(sids[items], codes), packed[order], items[order])

    def __len__(self) -> int:
        return len(self.item)

    def first(self, sids: np.ndarray) -> np.ndarray:
        """The first item of each of the ids int64 [n, T], which must be in the index; int64 [n]."""
        first: np.ndarray = self.item[np.searchsorted(self.packed, pack(sids, self.trie.codes))]
        return first

    def with_items(self, sids: np.ndarray, items: np.ndarray) -> Index:
        """And these items int64 [n], with ids int64 [n, T]; raises ValueError for one that is in it already."""
        if len(np.unique(items)) < len(items) or np.isin(items, self.item).any():
            raise ValueError("an item is put in that is there already")
        packed = pack(sids, self.trie.codes)
        order = np.lexsort((items, packed))
        packed, added = packed[order], items[order]
        place = self._places(packed, added)
        return Index(
            self.trie.with_ids(sids),
            np.insert(self.packed, place, packed),
            np.insert(self.item, place, added),
        )

    def without(self, items: np.ndarray) -> Index:
        """Without these items int64 [n]; raises ValueError for one that is not in it."""
        gone = np.isin(self.item, items)
        if np.count_nonzero(gone) < len(items):
            raise ValueError("an item is taken out that is not there")
        trie = self.trie.without(_unpacked(self.packed[gone], self.trie.codes))
        return Index(trie, self.packed[~gone], self.item[~gone])

    def _places(self, packed: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Before which of the N places new ids [n] with their items belong; only items of equal ids are compared."""
        first = np.searchsorted(self.packed, packed)
        many = np.searchsorted(self.packed, packed, side="right") - first
        new = np.repeat(np.arange(len(many)), many)
        there = np.arange(len(new)) + (first - many.cumsum() + many)[new]
        smaller = self.item[there] < items[new]
        places: np.ndarray = first + np.bincount(new[smaller], minlength=len(many))
        return places

    def items(self, packed: np.ndarray, score: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Ids [R, B] with scores [R, B], best first → items int64 [R, k] and scores; −1 and −inf where they end.

        Items of one id follow each other.
        """
        requests, beams = packed.shape
        first = np.searchsorted(self.packed, packed.ravel())
        many = np.searchsorted(self.packed, packed.ravel(), side="right") - first
        many[~np.isfinite(score.ravel())] = 0
        counts = many.reshape(requests, beams)
        begin = counts.cumsum(axis=1) - counts  # a request's place of the id's first item
        beam = np.repeat(np.arange(len(many)), many)
        within = np.arange(len(beam)) - np.repeat(many.cumsum() - many, many)
        place = begin.ravel()[beam] + within
        kept = place < k
        found = np.full((requests, k), -1, dtype=np.int64)
        scores = np.full((requests, k), -np.inf, dtype=np.float32)
        at = beam[kept] // beams, place[kept]
        found[at] = self.item[first[beam[kept]] + within[kept]]
        scores[at] = score.ravel()[beam[kept]]
        return found, scores


def _unpacked(packed: np.ndarray, codes: tuple[int, ...]) -> np.ndarray:
    """The inverse of `pack`: int64 [n] → [n, T]."""
    sids = np.empty((len(packed), len(codes)), dtype=np.int64)
    for level in reversed(range(len(codes))):
        packed, sids[:, level] = np.divmod(packed, codes[level])
    return sids
