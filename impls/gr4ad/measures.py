"""How ranked lists are judged: HR@K, NDCG@K and value-weighted recall VR@K, over a slice of the targets.

Every measure is a numerator and a denominator a row, and what is reported is the ratio of their sums over all rows:
hits and 1, gains and 1, found value and value. `by_user` turns them into one value a user whose mean is that ratio.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from remeasure.datasets.common.interactions import Rows, Split

Slice = Literal["all", "new", "cold"]
"""All targets; those that the row's history lacks; those that never occur in training."""


@dataclass(frozen=True, eq=False)
class Ratio:
    """A measure of J rows, each of some user."""

    user: np.ndarray
    """int64 [J]."""
    numerator: np.ndarray
    """float64 [J]."""
    denominator: np.ndarray
    """float64 [J], at least 0."""

    def overall(self) -> float:
        """The ratio of the sums over all rows; NaN where the denominators sum to 0."""
        total = float(self.denominator.sum())
        return float(self.numerator.sum()) / total if total > 0 else float("nan")

    def by_user(self) -> tuple[np.ndarray, np.ndarray]:
        """Users int64 [U], ascending, and one value for each, float64 [U].

        With sums n and d over a user's rows and R = `overall`, the value is R + (n - R d) / mean(d). Its mean over
        users is R, and it varies among users as R does among samples of them (the delta method), so that an interval
        of the mean is one of the ratio. It may leave [0, 1]. Where every user has d = 1 it is n.
        """
        users, place = np.unique(self.user, return_inverse=True)
        n = np.bincount(place, self.numerator, len(users))
        d = np.bincount(place, self.denominator, len(users))
        ratio = self.overall()
        return users, ratio + (n - ratio * d) / d.mean() if len(users) else n


@dataclass(frozen=True, eq=False)
class Judged:
    """Where the judged targets of J rows stand in the lists. Rows without a judged target are no part of it."""

    user: np.ndarray
    """int64 [J], whose row it is."""
    row: np.ndarray
    """int64 [J], places in the rows that were asked."""
    owner: np.ndarray
    """int64 [T], which of the J rows a target belongs to, ascending."""
    place: np.ndarray
    """int64 [T], from 1; above `length` where the list lacks the target."""
    distinct: np.ndarray
    """int64 [J], how many different targets the row has: targets of one SID are one where SIDs are judged."""
    value: np.ndarray
    """float64 [T], at least 0."""
    length: int
    """Places of the lists."""

    def hits(self, k: int) -> Ratio:
        """HR@K: rows with a judged target among the first k, of all rows."""
        hit = np.bincount(self.owner, self._within(k), len(self.row)) > 0
        return Ratio(self.user, hit.astype(np.float64), np.ones(len(self.row)))

    def ndcg(self, k: int) -> Ratio:
        """NDCG@K: 1 / log2(place + 1) summed over the places among the first k that hold a target, of the most that
        the row's targets could have."""
        within = self._within(k)
        places = np.unique(self.owner[within] * (self.length + 1) + self.place[within])
        owner, place = places // (self.length + 1), places % (self.length + 1)
        gain = np.bincount(owner, 1.0 / np.log2(place + 1.0), len(self.row))
        ideal = np.concatenate(([0.0], np.cumsum(1.0 / np.log2(np.arange(2.0, k + 2.0)))))
        return Ratio(self.user, gain / ideal[np.minimum(self.distinct, k)], np.ones(len(self.row)))

    def value_recall(self, k: int) -> Ratio:
        """VR@K: the value of the judged targets among the first k, of the value of all."""
        found = np.bincount(self.owner, self.value * self._within(k), len(self.row))
        return Ratio(self.user, found, np.bincount(self.owner, self.value, len(self.row)))

    def _within(self, k: int) -> np.ndarray:
        if not 1 <= k <= self.length:
            raise ValueError(f"k = {k}, but the lists have {self.length} places")
        within: np.ndarray = self.place <= k
        return within


def kept(split: Split, name: Slice) -> np.ndarray:
    """bool [T], the targets of a slice."""
    if name == "new":
        return split.rows.new()
    return split.cold() if name == "cold" else np.ones(len(split.rows.item), dtype=bool)


def judge(
    ranked: np.ndarray,
    rows: Rows,
    keep: np.ndarray | None = None,
    value: np.ndarray | None = None,
    codes: np.ndarray | None = None,
) -> Judged:
    """Find the targets of rows in their lists.

    ranked   int64 [R, K], best first; -1 from where a list ends
    keep     bool [T], the judged targets; all if not given
    value    float64 [T], such as `Split.capped()`; the rows' own, uncapped, if not given
    codes    int64 [N, levels], SIDs of all items: then an item with the target's SID is a hit as well, and the first
             of them counts; the item itself if not given

    Raises ValueError for lists that are not one a row.
    """
    if ranked.ndim != 2 or len(ranked) != len(rows):
        raise ValueError(f"lists of shape {ranked.shape} for {len(rows)} rows")
    keep = np.ones(len(rows.item), dtype=bool) if keep is None else keep
    target, row = rows.item[keep], rows.row()[keep]
    if codes is not None:
        same = np.unique(codes, axis=0, return_inverse=True)[1].ravel()
        target, ranked = same[target], np.where(ranked >= 0, same[ranked], -1)
    found = ranked[row] == target[:, None]
    place = np.where(found.any(axis=1), found.argmax(axis=1) + 1, ranked.shape[1] + 1)
    judged, owner = np.unique(row, return_inverse=True)
    span = int(target.max(initial=0)) + 1
    return Judged(
        user=rows.user[judged],
        row=judged,
        owner=owner,
        place=place,
        distinct=np.bincount(np.unique(owner * span + target) // span, minlength=len(judged)),
        value=(rows.value if value is None else value)[keep],
        length=ranked.shape[1],
    )
