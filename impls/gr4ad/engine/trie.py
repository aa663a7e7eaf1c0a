"""Which semantic ids exist, as sorted prefixes: generation follows only those (§5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from remeasure.errors import UserError


@dataclass(frozen=True, eq=False)
class PrefixTrie:
    """The distinct prefixes of a set of ids. Never changed: `with_ids` and `without` give another one, so that a
    request that began with this one ends with it."""

    codes: tuple[int, ...]
    """V_1 … V_T."""
    prefixes: tuple[np.ndarray, ...]
    """int64 [P_t], ascending: the first t + 1 codes of the ids, as one number in mixed radix."""
    ids: np.ndarray
    """int64 [P_T], how many items have each id."""

    @classmethod
    def of(cls, sids: np.ndarray, codes: tuple[int, ...]) -> PrefixTrie:
        """From the ids of items, int64 [N, T], which may repeat."""
        packed, counts = np.unique(pack(sids, codes), return_counts=True)
        return cls(codes, _prefixes(packed, codes), counts)

    def __len__(self) -> int:
        return len(self.ids)

    def with_ids(self, sids: np.ndarray) -> PrefixTrie:
        """And these items, int64 [n, T]."""
        return self._changed(sids, 1)

    def without(self, sids: np.ndarray) -> PrefixTrie:
        """Without these items; an id that no item has any more is gone."""
        return self._changed(sids, -1)

    def _changed(self, sids: np.ndarray, by: int) -> PrefixTrie:
        packed, counts = np.unique(pack(sids, self.codes), return_counts=True)
        known = self.prefixes[-1]
        place = np.searchsorted(known, packed)
        there = place < len(known)
        there[there] = known[place[there]] == packed[there]
        ids = self.ids.copy()
        ids[place[there]] += by * counts[there]
        if by < 0:
            if not there.all() or (ids < 0).any():
                raise ValueError("an item is taken out that was never put in")
            return PrefixTrie(self.codes, _prefixes(known[ids > 0], self.codes), ids[ids > 0])
        merged = np.insert(known, place[~there], packed[~there])
        ids = np.insert(ids, place[~there], counts[~there])
        return PrefixTrie(self.codes, _prefixes(merged, self.codes), ids)

    def allowed(self, prefix: Tensor, level: int) -> Tensor:
        """Which codes may follow: prefixes int64 [R, B] of `level` codes, packed → bool [R, B, V_level]."""
        size = self.codes[level]
        known = torch.from_numpy(self.prefixes[level])
        begin = torch.searchsorted(known, prefix.flatten() * size)
        counts = torch.searchsorted(known, (prefix.flatten() + 1) * size) - begin
        beam = torch.repeat_interleave(counts)
        child = torch.arange(len(beam)) + (begin - counts.cumsum(0) + counts)[beam]
        mask = torch.zeros(len(counts), size, dtype=torch.bool)
        mask[beam, known[child] % size] = True
        return mask.view(*prefix.shape, size)


def pack(sids: np.ndarray, codes: tuple[int, ...]) -> np.ndarray:
    """Ids int64 [N, T] as one number each, int64 [N]; refuses a code outside its level."""
    sids = np.asarray(sids, dtype=np.int64)
    if sids.ndim != 2 or sids.shape[1] != len(codes):
        raise UserError(f"ids have {sids.shape[-1]} levels, the codebooks {len(codes)}; tokenize again.")
    outside = (sids < 0) | (sids >= np.asarray(codes))
    if outside.any():
        row, level = np.argwhere(outside)[0]
        raise UserError(
            f"item {row} has code {sids[row, level]} at level {level + 1}, which has {codes[level]} codes; "
            "tokenize again."
        )
    packed = np.zeros(len(sids), dtype=np.int64)
    for level, size in enumerate(codes):
        packed = packed * size + sids[:, level]
    return packed


def _prefixes(packed: np.ndarray, codes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """From sorted distinct ids to the sorted distinct prefixes of every length."""
    found = [packed]
    for size in codes[:0:-1]:
        shorter = found[0] // size
        found.insert(0, shorter[np.diff(shorter, prepend=-1) > 0])
    return tuple(found)
