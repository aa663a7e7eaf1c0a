"""SIDIndex: which items have a SID and which SID an item has, updated item by item as ads come and go (§1.2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from remeasure.errors import UserError

Sid = tuple[int, ...]


class SIDIndex:
    """Items by SID and SIDs by item; everything on one item takes constant time, and equals a rebuild."""

    def __init__(self) -> None:
        self._items: dict[Sid, dict[str, None]] = {}
        self._sids: dict[str, Sid] = {}

    @classmethod
    def of(cls, items: Sequence[str] | np.ndarray, codes: np.ndarray) -> SIDIndex:
        """The index of N items with SIDs int64 [N, levels]."""
        index = cls()
        index.add(items, codes)
        return index

    def __len__(self) -> int:
        """Items."""
        return len(self._sids)

    def __contains__(self, item: str) -> bool:
        return item in self._sids

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SIDIndex) and self._sids == other._sids and self._buckets() == other._buckets()
        )

    __hash__ = None  # type: ignore[assignment]

    def add(self, items: Sequence[str] | np.ndarray, codes: np.ndarray) -> list[Sid]:
        """Add N items with SIDs int64 [N, levels]; return the SIDs that nothing had before, for a trie to take in.

        Raises UserError for an item that is there already, and adds none then.
        """
        names = np.asarray(items).tolist()
        seen: set[str] = set()
        for name in names:
            if name in self._sids or name in seen:
                raise UserError(f"item {name} is in the index already; remove it first.")
            seen.add(name)
        new = []
        for name, row in zip(names, codes.tolist(), strict=True):
            sid = tuple(row)
            if sid not in self._items:
                self._items[sid] = {}
                new.append(sid)
            self._items[sid][name] = None
            self._sids[name] = sid
        return new

    def remove(self, items: Sequence[str] | np.ndarray) -> list[Sid]:
        """Remove items; return the SIDs that nothing has any more.

        Raises UserError for an item that is not there, and removes none then.
        """
        names = np.asarray(items).tolist()
        seen: set[str] = set()
        for name in names:
            if name not in self._sids or name in seen:
                raise UserError(f"item {name} is not in the index; remove what is there, once.")
            seen.add(name)
        gone = []
        for name in names:
            sid = self._sids.pop(name)
            bucket = self._items[sid]
            del bucket[name]
            if not bucket:
                del self._items[sid]
                gone.append(sid)
        return gone

    def items(self, sid: Sequence[int]) -> tuple[str, ...]:
        """The items of a SID, in the order they came; () where it has none."""
        return tuple(self._items.get(tuple(sid), ()))

    def sid(self, item: str) -> Sid | None:
        """The SID of an item, None where it is not there."""
        return self._sids.get(item)

    def sids(self) -> np.ndarray:
        """int64 [S, levels], every SID that an item has, in ascending order."""
        return np.array(sorted(self._items), dtype=np.int64)

    def _buckets(self) -> dict[Sid, list[str]]:
        return {sid: list(bucket) for sid, bucket in self._items.items()}
