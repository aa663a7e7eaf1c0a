"""Files that leave the system: the competition's submission, and TREC run files of a ranking."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd

from remeasure.errors import UserError

TOP = 10
"""Items of each list that a submission holds."""


def write_submission(path: Path, users: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
    """`userId itemId score`, tab separated with a header: the ten best of each list, best first.

    users str [U], candidates str [U, C] (padded with ""), scores float [U, C], finite where there is a candidate.
    Ties are broken as trec_eval does. Raises UserError for a score that is not finite or a pair that repeats.
    """
    _check(users, candidates, scores)
    order = best_first(candidates, scores)[:, :TOP]
    rows = np.arange(len(users))[:, None]
    frame = pd.DataFrame(
        {
            "userId": np.repeat(users, order.shape[1]),
            "itemId": candidates[rows, order].ravel(),
            "score": scores[rows, order].ravel(),
        }
    )
    _write(path, frame[frame["itemId"] != ""].to_csv(sep="\t", index=False).encode())


def write_trec_run(
    path: Path, users: np.ndarray, candidates: np.ndarray, scores: np.ndarray, tag: str
) -> None:
    """A gzipped TREC run: `user Q0 item rank score tag`, whole lists, best first."""
    _check(users, candidates, scores)
    order = best_first(candidates, scores)
    rows = np.arange(len(users))[:, None]
    width = order.shape[1]
    frame = pd.DataFrame(
        {
            "user": np.repeat(users, width),
            "q0": "Q0",
            "item": candidates[rows, order].ravel(),
            "rank": np.tile(np.arange(1, width + 1), len(users)),
            "score": scores[rows, order].ravel(),
            "tag": tag.replace(" ", "_"),
        }
    )
    text = frame[frame["item"] != ""].to_csv(sep=" ", index=False, header=False).encode()
    _write(path, gzip.compress(text, mtime=0))


def best_first(candidates: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Columns of each list from best to worst, int [U, C]: score, then item id, both descending; padding last."""
    ids = np.unique(candidates, return_inverse=True)[1].reshape(candidates.shape)
    return np.lexsort((-ids, -np.where(candidates == "", -np.inf, scores)), axis=1)


def _check(users: np.ndarray, candidates: np.ndarray, scores: np.ndarray) -> None:
    known = candidates != ""
    if not np.isfinite(scores[known]).all():
        user = users[~np.isfinite(np.where(known, scores, 0)).all(axis=1)][0]
        raise UserError(f"a score of user {str(user)!r} is not finite; nothing was written.")
    if len(np.unique(users)) < len(users):
        raise UserError("a user stands twice in the lists; nothing was written.")
    padded = np.sort(np.where(known, candidates, np.arange(candidates.shape[1]).astype(str)), axis=1)
    if (padded[:, 1:] == padded[:, :-1]).any():
        raise UserError("an item stands twice in a user's list; nothing was written.")


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(
            f"{path.name} could not be written: {error.strerror}; nothing is half-written."
        ) from None
