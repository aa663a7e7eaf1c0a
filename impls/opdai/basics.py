"""Counts and mean ratings of users and items (authors' `UI_count`, `IU_count`, `user_rating_mean`, …).

Only interaction tables are counted: a count over the run files, or over the target's own judged pairs, would leak.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from remeasure.datasets.xmrec.loader import XmrecData

from .corpus import Purpose, build_corpus


def basics(
    data: XmrecData,
    markets: tuple[str, ...],
    tables: tuple[str, ...],
    users: np.ndarray,
    candidates: np.ndarray,
) -> tuple[list[str], np.ndarray]:
    """Names and values (float32 [U, C, n]) of the basic features of every (user, candidate) pair.

    Per market of `markets` the candidate's count in train and in the 5-core; for the target also its count in
    the union, its mean rating, and the user's history lengths and mean rating. Features of a market that has
    no such table are left out.
    """
    names: list[str] = []
    columns: list[np.ndarray] = []
    for market in markets:
        for table in ("train", "train_5core"):
            frame = getattr(data.markets[market], table)
            if frame is None or table not in tables:
                continue
            names.append(f"count {table} {market}")
            columns.append(_per_item(frame["itemId"].value_counts(), candidates))
    target = data.markets[data.target]
    corpus = build_corpus(data, (data.target,), purpose=Purpose.JUDGED, tables=tables)
    counts = pd.Series(np.bincount(corpus.binary.indices, minlength=len(corpus.items)), index=corpus.items)
    lengths = pd.Series(
        np.diff(corpus.binary.indptr), index=[user.partition("\t")[2] for user in corpus.users.tolist()]
    )
    names += ["count union", "history union"]
    columns += [_per_item(counts, candidates), _per_user(lengths, users, candidates.shape)]
    if target.train is not None and "train" in tables:
        train = target.train
        names += ["item mean rating", "user mean rating", "history train"]
        columns += [
            _per_item(train.groupby("itemId", observed=True)["rating"].mean(), candidates),
            _per_user(train.groupby("userId", observed=True)["rating"].mean(), users, candidates.shape),
            _per_user(train["userId"].value_counts(), users, candidates.shape),
        ]
    return names, np.stack(columns, axis=-1)


def _per_item(values: pd.Series, candidates: np.ndarray) -> np.ndarray:
    found = values.reindex(candidates.ravel()).fillna(0).to_numpy(np.float32)
    return found.reshape(candidates.shape)


def _per_user(values: pd.Series, users: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    found = values.reindex(users).fillna(0).to_numpy(np.float32)
    return np.broadcast_to(found[:, None], shape)
