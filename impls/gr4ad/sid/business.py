"""Levels of a SID that carry no content: a hash of business fields (§1.2, multi-granularity), or TIGER's counter."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import numpy as np

from remeasure.datasets.common.interactions import Items
from remeasure.errors import UserError

from .ranks import ranks

Field = Literal["item", "account", "conversion"]
FIELDS: tuple[Field, ...] = ("item", "account", "conversion")


@dataclass(frozen=True, eq=False)
class Business:
    """What the hash may see of N items: names, so that codes are the same for another catalogue. No bid, no budget."""

    item: np.ndarray
    """str [N], the items' ids."""
    account: np.ndarray
    """str [N], whose items they are."""
    conversion: np.ndarray
    """str [N], what counts as their success."""

    def __len__(self) -> int:
        return len(self.item)

    def select(self, places: np.ndarray) -> Business:
        """Some items, given as int64 places or a bool mask [N]."""
        return Business(self.item[places], self.account[places], self.conversion[places])


@dataclass(frozen=True)
class HashLevel:
    """A code is the hash of some fields: equal for equal fields, in every process and catalogue."""

    codes: int
    """Codes m."""
    fields: tuple[Field, ...] = ("account", "conversion")
    """Fields that are hashed, of `FIELDS`."""
    salt: str = ""
    """Another salt makes another hash."""

    def __post_init__(self) -> None:
        if unknown := [name for name in self.fields if name not in FIELDS]:
            raise UserError(
                f"the business field {unknown[0]} is not known; choose among: {', '.join(FIELDS)}."
            )
        if not self.fields or self.codes < 1:
            raise UserError("a hash level needs one field and one code at least; give it both.")

    def fit(self, prefixes: np.ndarray, business: Business) -> HashLevel:
        """Nothing is learned."""
        return self

    def encode(self, prefixes: np.ndarray, business: Business) -> np.ndarray:
        """Codes int64 [N], blake2b(salt | fields) mod m; each distinct combination is hashed once."""
        combined = np.zeros(len(business), dtype=np.int64)
        for name in self.fields:
            values, place = np.unique(getattr(business, name), return_inverse=True)
            combined = np.unique(combined * len(values) + place, return_inverse=True)[1]
        first = np.unique(combined, return_index=True)[1]
        columns = [getattr(business, name)[first].tolist() for name in self.fields]
        digests = b"".join(
            blake2b("\0".join((self.salt, *values)).encode(), digest_size=8).digest()
            for values in zip(*columns, strict=True)
        )
        hashes = np.frombuffer(digests, dtype="<u8") % np.uint64(self.codes)
        codes: np.ndarray = hashes.astype(np.int64)[combined]
        return codes


@dataclass(frozen=True)
class CounterLevel:
    """TIGER's collision counter: an item's code is its rank among the items that share its other codes.

    So it depends on the catalogue, and it needs as many codes as the largest such bucket has items.
    """

    def fit(self, prefixes: np.ndarray, business: Business) -> Counter:
        """Ranks of these items, by their order, within equal prefixes int64 [N, levels]."""
        order = np.argsort(business.item)
        found, bucket, counts = np.unique(prefixes, axis=0, return_inverse=True, return_counts=True)
        codes = ranks(bucket.reshape(-1))
        return Counter(int(counts.max()), found, counts, business.item[order], codes[order])


@dataclass(frozen=True, eq=False)
class Counter:
    """A fitted counter."""

    codes: int
    """Items of the largest bucket."""
    prefixes: np.ndarray
    """int64 [B, levels], the prefixes that occurred, in ascending order."""
    counts: np.ndarray
    """int64 [B], the items of each."""
    items: np.ndarray
    """str [N], ascending."""
    ranks: np.ndarray
    """int64 [N], the items' codes."""

    def encode(self, prefixes: np.ndarray, business: Business) -> np.ndarray:
        """Codes int64 [N]: a known item keeps its rank; new ones follow in order, and share where codes run out."""
        place = np.minimum(np.searchsorted(self.items, business.item), len(self.items) - 1)
        known = self.items[place] == business.item
        codes = np.where(known, self.ranks[place], 0)
        new = prefixes[~known]
        if len(new):
            _, where = np.unique(np.concatenate([self.prefixes, new]), axis=0, return_inverse=True)
            where = where.reshape(-1)
            before = np.zeros(where.max() + 1, dtype=np.int64)
            before[where[: len(self.counts)]] = self.counts
            bucket = where[len(self.counts) :]
            codes[~known] = (before[bucket] + ranks(bucket)) % self.codes
        return codes


def business_of(items: Items) -> Business:
    """The fields of a catalogue."""
    return Business(
        items.ids, items.accounts[items.account], np.array(items.conversions, dtype=str)[items.conversion]
    )
