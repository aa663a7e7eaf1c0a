"""Balanced k-means (§1.2): every code gets a price, and a vector takes the code whose distance and price are least.

Prices come from an auction, in which vectors bid for the places of a code. After it the prices of codes that are still
wanted by more vectors than they may hold rise until these prefer another one. So the balance is about that of the best
assignment under the cap, while `encode` stays a pure function of the vector alone: a new item never moves an old one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor

import numpy as np
import torch
from scipy import sparse

from remeasure.errors import UserError

from .ranks import ranks

ROWS = 64
"""Vectors of one matrix product. All products have this shape, so that a vector's bits do not depend on the others."""
SLICE = 4096
"""Rows of sums with prices that are made at a time."""
ROUNDS = 1000
"""Rounds of bids, and of rises after them, at most; where these end, some code holds more than the cap."""
BID = 0.01
"""What is bid beyond the second choice, as a share of what vectors pay on average: less is better, and slower."""
REFILLS = 10
"""Times that codes without any vector are moved to the vectors that pay most, once the other centres rest."""
STEP = 0.01
"""Least rise of a price in the first round after the bids, as a share of what vectors pay on average."""
HALVING = 50
"""Rounds after which the least rise is half as large: it first ends price wars, then leaves room to settle."""
DECAY = 0.3
"""What a code that is not full keeps of its price when the centres have moved."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """A level's codes, each with a centre and a price."""

    centres: np.ndarray
    """float32 [k, d]."""
    prices: np.ndarray
    """float32 [k], at least 0, in half squared distances; all 0 where nothing is balanced."""

    def __len__(self) -> int:
        return len(self.centres)

    def encode(self, vectors: np.ndarray) -> np.ndarray:
        """Codes int64 [N] of float32 [N, d]: the least of half squared distance and price."""
        codes = np.empty(len(vectors), dtype=np.int64)
        terms = _offsets(self.centres) + self.prices
        for start, costs in _products(vectors, self.centres):
            costs += terms
            codes[start : start + len(costs)] = costs.argmin(1)
        return codes


@dataclass(frozen=True)
class KMeans:
    """A level of k-means, balanced or plain."""

    codes: int
    """Codes k."""
    slack: float | None = 1.25
    """A code holds at most this multiple of the mean number of vectors; None leaves it plain k-means."""
    iterations: int = 10
    """Times that the centres move."""

    def fit(
        self, vectors: np.ndarray, rng: np.random.Generator, centres: np.ndarray | None = None
    ) -> Codebook:
        """Fit to distinct float32 [N, d]; begins at `centres` float32 [k, d], else at vectors drawn by `rng`.

        Holds 4·N·k bytes while it runs. Raises UserError for more codes than vectors.
        """
        count = len(vectors)
        if self.codes > count:
            raise UserError(
                f"codebook {self.codes} is larger than the {count} distinct vectors; choose at most {count}."
            )
        cap = count if self.slack is None else capacity(count, self.codes, self.slack)
        if centres is None:
            centres = vectors[np.sort(rng.choice(count, self.codes, replace=False))]
        products = np.empty((count, self.codes), dtype=np.float32)
        norms = 0.5 * np.einsum("nd,nd->n", vectors, vectors)
        prices = np.zeros(self.codes, dtype=np.float32)
        for move in range(self.iterations + REFILLS + 1):
            for start, block in _products(vectors, centres):
                products[start : start + len(block)] = block
            offsets = _offsets(centres)
            if cap < count:
                prices = _bidding(products, offsets, prices, cap, norms)
            prices, codes, paid = _settled(products, offsets, prices, cap, norms)
            held = np.bincount(codes, minlength=self.codes)
            if move == self.iterations + REFILLS or (move >= self.iterations and held.all()):
                break
            centres = _means(vectors, codes, held) if move < self.iterations else centres.copy()
            empty = np.flatnonzero(held == 0)
            centres[empty] = vectors[np.argsort(-paid, kind="stable")[: len(empty)]]
            prices = np.where(held < cap, np.float32(DECAY) * prices, prices) * (held > 0)
        return Codebook(centres, prices)


def capacity(vectors: int, codes: int, slack: float) -> int:
    """How many vectors a code may hold: the multiple of the mean, rounded down, but enough for all vectors."""
    return max(floor(slack * vectors / codes), ceil(vectors / codes))


def _bidding(
    products: np.ndarray, offsets: np.ndarray, prices: np.ndarray, cap: int, norms: np.ndarray
) -> np.ndarray:
    """Prices float32 [k] of an auction (Bertsekas 1988) of `cap` places a code.

    Every vector without a place bids for the code that is cheapest to it: the price at which the second one would be as
    cheap, and a little more. A full code keeps the highest bids, and its price is the lowest of these. In the end no
    vector pays more than that little above its best, but near a tie it may still prefer a full code.
    """
    count = len(offsets)
    codes = np.full(len(products), -1)
    bids = np.empty(len(products), dtype=np.float32)
    rows = np.arange(len(products))
    more = np.float32(0)
    for _ in range(ROUNDS):
        terms = offsets + prices
        lead = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), SLICE):
            part = rows[start : start + SLICE]
            codes[part], paid, lead[start : start + SLICE] = _two_best(products[part] + terms)
            more = more or np.float32(BID * (paid + norms[part]).mean())
        bids[rows] = prices[codes[rows]] + lead + more
        held = np.bincount(codes[codes >= 0], minlength=count)
        bidders = np.flatnonzero((held > cap)[codes] & (codes >= 0))
        bidders = bidders[np.lexsort((-bids[bidders], codes[bidders]))]
        place = ranks(codes[bidders])
        lowest = bidders[place == cap - 1]
        prices = prices.copy()
        prices[codes[lowest]] = bids[lowest]
        rows = bidders[place >= cap]
        if not len(rows):
            break
        codes[rows] = -1
    return prices


def _settled(
    products: np.ndarray, offsets: np.ndarray, prices: np.ndarray, cap: int, norms: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prices float32 [k] at which at most `cap` vectors want each code, the codes int64 [N] then taken, and what every
    vector pays float32 [N]: half its squared distance and the price.

    Prices only rise, so a vector's choice stands until the price of its own code rises: only the vectors of codes above
    the cap are asked again.
    """
    terms = offsets + prices
    codes = np.empty(len(products), dtype=np.int64)
    paid = np.empty(len(products), dtype=np.float32)
    for start in range(0, len(products), SLICE):
        totals = products[start : start + SLICE] + terms
        best = totals.argmin(1)
        codes[start : start + SLICE] = best
        paid[start : start + SLICE] = totals[np.arange(len(totals)), best]
    step = STEP * (paid + norms).mean()
    for turn in range(ROUNDS):
        rows = np.flatnonzero((np.bincount(codes, minlength=len(terms)) > cap)[codes])
        if not len(rows):
            break
        codes[rows], paid[rows], lead = _two_best(products[rows] + terms)
        least = np.float32(step * 0.5 ** (turn / HALVING))
        prices = prices + _rises(codes[rows], lead, cap, least, len(terms))
        terms = offsets + prices
    return prices, codes, paid + norms


def _two_best(totals: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least of each row of float32 [M, k], which is overwritten: where, its value, and its lead over the second."""
    rows = np.arange(len(totals))
    best = totals.argmin(1)
    value = totals[rows, best]
    totals[rows, best] = np.inf
    return best, value, totals.min(1) - value


def _rises(codes: np.ndarray, lead: np.ndarray, cap: int, least: np.float32, count: int) -> np.ndarray:
    """float32 [k], how much the price of each code rises so that at most `cap` of its vectors keep to it.

    A price rises by `least` at least, and ends midway between the last vector that leaves and the first that stays, so
    that rounding decides nothing.
    """
    held = np.bincount(codes, minlength=count)
    over = np.flatnonzero(held > cap)
    ordered = lead[np.lexsort((lead, codes))]
    stays = np.cumsum(held)[over] - cap
    rise = np.zeros(count, dtype=np.float32)
    rise[over] = np.maximum((ordered[stays - 1] + ordered[stays]) / 2, least)
    return rise


def _means(vectors: np.ndarray, codes: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Centres float32 [k, d], the mean of each code's vectors; 0 where it has none."""
    size = len(codes)
    member = sparse.csc_array(
        (np.ones(size, dtype=np.float32), codes, np.arange(size + 1)), shape=(len(held), size)
    )
    means: np.ndarray = (member @ vectors) / np.maximum(held, 1).astype(np.float32)[:, None]
    return means


def _offsets(centres: np.ndarray) -> np.ndarray:
    """float32 [k], half squared lengths: with minus the products, half squared distances but for the vectors' own."""
    offsets: np.ndarray = np.float32(0.5) * np.einsum("kd,kd->k", centres, centres)
    return offsets


def _products(vectors: np.ndarray, centres: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Minus the products float32 [at most ROWS, k] of vectors and centres, with the place of the first vector.

    The array is used again for the next ones. By torch, whose products of this shape are the faster ones.
    """
    negative = torch.from_numpy(np.ascontiguousarray(-centres.T))
    padded = torch.zeros(ROWS, vectors.shape[1])
    product = torch.empty(ROWS, len(centres))
    for start in range(0, len(vectors), ROWS):
        part = vectors[start : start + ROWS]
        padded.numpy()[: len(part)] = part
        torch.mm(padded, negative, out=product)
        yield start, product.numpy()[: len(part)]
