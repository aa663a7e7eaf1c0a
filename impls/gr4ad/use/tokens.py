"""`tokenize`: items → semantic ids and content vectors, as two files that `train` and `recommend` read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from remeasure.datasets.common.interactions import Items, Split
from remeasure.datasets.common.sids import read_sids, tokens
from remeasure.errors import UserError

from ..generator import Tokens, content
from ..learning.checkpoint import digest, write_whole
from ..sid.business import business_of
from ..sid.metrics import separation
from ..sid.schemes import tokenizer
from ..sid.vectors import Content
from .asked import Tokenizing

SIDS, VECTORS = "sids.index.json", "vectors.npy"


def tokenize(split: Split, asked: Tokenizing, out: Path, report: Callable[[str], None]) -> Sequence[Path]:
    """Fit the tokenizer to what training knows, and write every item's SID, in MiniOneRec's format, and vector.

    The same seed gives the same bytes. What stood there is replaced once everything is made.
    """
    made = tokenized(split, asked)
    found = separation(made.sids, made.codes)
    report(
        f"{found.items:,} items have {found.distinct:,} different SIDs of {len(made.codes)} levels; "
        f"{found.collided_share:.1%} of the items share theirs, at most {found.largest_bucket} one"
    )
    table = dict(zip(split.items.ids.tolist(), map(tokens, made.sids.tolist()), strict=True))
    vectors = io.BytesIO()
    np.save(vectors, made.vectors)
    (out / SIDS).unlink(missing_ok=True)  # so that old ids never stand beside new vectors
    write_whole(out / VECTORS, vectors.getvalue())
    write_whole(out / SIDS, json.dumps(table).encode())
    return [out / SIDS, out / VECTORS]


def tokenized(split: Split, asked: Tokenizing) -> Tokens:
    """Vectors, ids and the codes of each level; raises UserError where the data are asked for ids and bring none."""
    rng = np.random.default_rng([asked.seed, 5])
    vectors = content(split, Content(asked.encoder, asked.dims), rng)
    if asked.scheme == "data":
        if split.items.sids is None:
            raise UserError("the data bring no SIDs; choose another scheme, such as mr+item.")
        return _with_codes(vectors, split.items.sids)
    business = business_of(split.items)
    fitted = tokenizer(asked.scheme, asked.sizes).fit(vectors[split.known], business.select(split.known), rng)
    return Tokens(vectors, fitted.encode(vectors, business), fitted.sizes)


def read_tokens(items: Items, folder: Path) -> Tokens:
    """What `tokenize` wrote for these items; a level has as many codes as its largest one says.

    Raises UserError for a file that is missing, that is of other items, or that holds no numbers.
    """
    if not (folder / SIDS).is_file():
        raise UserError(
            f"{folder} has no {SIDS}; say `remeasure do gr4ad tokenize` with the same --out first."
        )
    sids = read_sids(folder / SIDS, items.ids.tolist())
    try:
        vectors = np.load(folder / VECTORS, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{folder / VECTORS} cannot be read ({error}); tokenize again.") from None
    if vectors.ndim != 2 or len(vectors) != len(items) or vectors.dtype != np.float32:
        raise UserError(
            f"{folder / VECTORS} holds {vectors.dtype} {vectors.shape} for {len(items)} items; tokenize again."
        )
    return _with_codes(vectors, sids)


def sids_digest(items: Items, sids: np.ndarray) -> str:
    """Of the items as the decoder knows them: their ids and SIDs, whose they are, what counts as their success."""
    conversions = np.array(items.conversions, dtype=object)
    return digest(items.ids, sids, items.account, items.accounts, items.conversion, conversions)


def _with_codes(vectors: np.ndarray, sids: np.ndarray) -> Tokens:
    return Tokens(vectors, sids, tuple((sids.max(axis=0) + 1).tolist()))
