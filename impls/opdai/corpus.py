"""The corpus: interactions of a merge of markets, prepared for scoring one target (OPDAI pre-ranking).

Users are disjoint between markets; shared item ids are the only bridge. A corpus is built once per
(merge, target, purpose) and is what every pre-ranker is fitted on.

The purpose is a type. Rows whose labels are judged may only be scored from a `JudgedCorpus`, which is built
without the target's `valid_qrel` and checked for every judged pair; test rows from a `SubmissionCorpus`,
which holds it. A leak can only be had by asking for a `LeakyCorpus`.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from typing import Any, Literal, TypeVar, overload

import numpy as np
import pandas as pd
from scipy import sparse

from remeasure.datasets.xmrec.loader import XmrecData
from remeasure.datasets.xmrec.markets import TABLES, Market
from remeasure.errors import UserError


class LeakError(UserError):
    """A corpus holds a pair on which it is about to be judged."""


Kind = TypeVar("Kind", bound="Corpus")


class Purpose(Enum):
    """Which rows a corpus will score."""

    JUDGED = "judged"
    """Rows whose labels are judged: the target's `valid_qrel` never enters."""
    SUBMISSION = "submission"
    """Test rows, whose labels nobody has: the target's `valid_qrel` enters."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """De-duplicated (user, item, rating) interactions of a merge of markets.

    ratings      float32 CSR [users, items], every stored value > 0, indices sorted
    users        str [users], "market\\tuser", sorted: markets contiguous
    items        str [items], sorted
    target_rows  bool [users], True where the user belongs to the target market
    fingerprint  sha256 of the content, the key of everything cached from it
    """

    ratings: sparse.csr_array
    users: np.ndarray
    items: np.ndarray
    target_rows: np.ndarray
    fingerprint: str

    @cached_property
    def binary(self) -> sparse.csr_array:
        """The same pattern with ones, float32."""
        matrix = self.ratings.copy()
        matrix.data = np.ones_like(matrix.data)
        return matrix

    def rows(self, users: np.ndarray) -> np.ndarray:
        """Row of each target user, named without the market: int32 of the same shape, -1 if unknown."""
        rows = np.flatnonzero(self.target_rows).astype(np.int32)
        # The appended -1 is what place -1, an unknown user, picks.
        return np.asarray(np.append(rows, np.int32(-1))[_places(self._target_index, users)])

    def columns(self, items: np.ndarray) -> np.ndarray:
        """Column of each item: int32 of the same shape, -1 if unknown (as is the padding "")."""
        return _places(self._item_index, items)

    @cached_property
    def _item_index(self) -> "pd.Index[Any]":
        return _index(self.items.tolist())

    @cached_property
    def _target_index(self) -> "pd.Index[Any]":
        return _index([user.partition("\t")[2] for user in self.users[self.target_rows].tolist()])


class JudgedCorpus(Corpus):
    """May score rows whose labels are judged: holds none of them."""


class SubmissionCorpus(Corpus):
    """May score test rows only: holds the target's `valid_qrel`."""


class LeakyCorpus(Corpus):
    """Holds the judged pairs on purpose, as the negative control; no result made with it is valid."""


@overload
def build_corpus(
    data: XmrecData,
    markets: Sequence[str],
    *,
    purpose: Literal[Purpose.JUDGED],
    tables: Sequence[str] = TABLES,
) -> JudgedCorpus: ...
@overload
def build_corpus(
    data: XmrecData,
    markets: Sequence[str],
    *,
    purpose: Literal[Purpose.SUBMISSION],
    tables: Sequence[str] = TABLES,
) -> SubmissionCorpus: ...
def build_corpus(
    data: XmrecData, markets: Sequence[str], *, purpose: Purpose, tables: Sequence[str] = TABLES
) -> Corpus:
    """Merge the markets' tables: each market's in the order of `TABLES`, the first of a repeated pair wins.

    5-core ratings count as 5.0; a market may lack any table. Raises UserError for an unknown market and for
    an empty merge, LeakError where a judged pair is found in a judged corpus.
    """
    _refuse_unknown(data, markets)
    chosen = [data.markets[name] for name in markets]
    if purpose is Purpose.SUBMISSION:
        return _merge(SubmissionCorpus, chosen, data.target, tables)
    corpus = _merge(JudgedCorpus, chosen, data.target, tables, blind=True)
    assert_no_leak(corpus, data.users, data.positives)
    return corpus


def leaky_corpus(data: XmrecData, markets: Sequence[str], *, tables: Sequence[str] = TABLES) -> LeakyCorpus:
    """The merge with every judged pair in it: what the authors' leaking features were fitted on."""
    _refuse_unknown(data, markets)
    judged = pd.DataFrame({"userId": data.users, "itemId": data.positives, "rating": 1.0})
    target = replace(data.markets[data.target], valid_qrel=judged)
    chosen = [target if name == data.target else data.markets[name] for name in markets]
    return _merge(LeakyCorpus, chosen, data.target, (*tables, "valid_qrel"))


def assert_no_leak(corpus: Corpus, users: np.ndarray, positives: np.ndarray) -> None:
    """Raise LeakError if the corpus holds a (target user, positive) pair; both str [U]."""
    rows, columns = corpus.rows(users).astype(np.int64), corpus.columns(positives)
    width = corpus.ratings.shape[1]
    stored_rows = np.repeat(np.arange(len(corpus.users)), np.diff(corpus.ratings.indptr))
    known = (rows >= 0) & (columns >= 0)
    stored = stored_rows * width + corpus.ratings.indices
    judged = (rows * width + columns)[known]
    # `stored` is sorted, as the indices of a CSR row are.
    leaks = stored[np.minimum(np.searchsorted(stored, judged), len(stored) - 1)] == judged
    if leaks.any():
        user = users[known][leaks][0]
        raise LeakError(
            f"the corpus holds {int(leaks.sum())} judged pairs (the first of user {str(user)!r}); "
            "build it with Purpose.JUDGED from data whose training tables lack the positives."
        )


def _refuse_unknown(data: XmrecData, markets: Sequence[str]) -> None:
    for name in markets:
        if name not in data.markets:
            raise UserError(
                f"there is no market {name!r} to merge; the markets are {', '.join(data.markets)}."
            )


def _merge(
    kind: type[Kind], markets: Sequence[Market], target: str, tables: Sequence[str], blind: bool = False
) -> Kind:
    """Stack the markets' matrices, by name, over the union of items; `blind` hides the target's qrel."""
    blocks = []
    for market in sorted(markets, key=lambda market: market.name):
        hidden = ("valid_qrel",) if blind and market.name == target else ()
        block = _block(market, tuple(name for name in TABLES if name in tables and name not in hidden))
        if len(block.users):
            blocks.append(block)
    if not blocks:
        names = ", ".join(market.name for market in markets)
        raise UserError(
            f"the merge of {names} has no interactions in {', '.join(tables)}; name more markets or tables."
        )
    items = np.unique(np.concatenate([block.items for block in blocks]))
    # Both are sorted, so columns stay sorted within a row.
    indices = [np.searchsorted(items, block.items)[block.columns] for block in blocks]
    degrees = np.concatenate([block.degrees for block in blocks])
    indptr = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int32)
    matrix = sparse.csr_array(
        (
            np.concatenate([block.ratings for block in blocks]),
            np.concatenate(indices).astype(np.int32),
            indptr,
        ),
        shape=(len(degrees), len(items)),
    )
    users = np.concatenate([np.char.add(f"{block.market}\t", block.users) for block in blocks])
    target_rows = np.repeat(
        [block.market == target for block in blocks], [len(block.users) for block in blocks]
    )
    return kind(matrix, users, items, target_rows, _fingerprint(matrix, users, items, target_rows))


@dataclass(frozen=True, eq=False)
class _Block:
    """One market's distinct pairs, by user and item; users and items that have none are left out."""

    market: str
    users: np.ndarray
    items: np.ndarray
    degrees: np.ndarray
    columns: np.ndarray
    ratings: np.ndarray


def _block(market: Market, tables: tuple[str, ...]) -> _Block:
    coded = market.coded
    chosen = [(name, coded.tables[name]) for name in tables if name in coded.tables]
    width = max(len(coded.items), 1)
    keys = np.concatenate(
        [np.empty(0, np.int64), *(table.users * width + table.items for _, table in chosen)]
    )
    ratings = [np.full_like(t.ratings, 5.0) if name == "train_5core" else t.ratings for name, t in chosen]
    pairs, first = np.unique(keys, return_index=True)
    rows, degrees = np.unique(pairs // width, return_counts=True)
    present, columns = np.unique(pairs % width, return_inverse=True)
    values = np.concatenate([np.empty(0, np.float32), *ratings])[first]
    return _Block(market.name, coded.users[rows], coded.items[present], degrees, columns, values)


def _fingerprint(
    matrix: sparse.csr_array, users: np.ndarray, items: np.ndarray, target_rows: np.ndarray
) -> str:
    digest = hashlib.sha256()
    for names in (users, items):
        # Joined text, not array bytes: the width of a numpy string depends on the longest.
        digest.update("\n".join(names.tolist()).encode() + b"\n\n")
    for array in (target_rows, matrix.indptr, matrix.indices, matrix.data):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _index(names: list[str]) -> "pd.Index[Any]":
    # Plain objects: whether pandas has an Arrow string type depends on what is installed.
    index: pd.Index[Any] = pd.Index(names, dtype=object)
    return index


def _places(index: "pd.Index[Any]", names: np.ndarray) -> np.ndarray:
    """Place of each name in the index, int32 of the names' shape, -1 where it is not there."""
    names = np.asarray(names)
    return index.get_indexer(_index(names.ravel().tolist())).astype(np.int32).reshape(names.shape)
