"""Item vectors from texts: TF-IDF with SVD, light enough for new ads to be told apart in milliseconds, or MiniLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from remeasure.errors import UserError

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

ENCODERS = ("light", "minilm")
DECIMALS = 5
"""Of light vectors: texts that only an unknown word tells apart shall have equal vectors, whatever the rounding."""


@dataclass(frozen=True)
class Content:
    """How texts become vectors."""

    encoder: Literal["light", "minilm"] = "light"
    """light: TF-IDF and SVD, fitted; minilm: a sentence encoder, given."""
    dims: int = 48
    """Dimensions of the light vectors, at most; MiniLM has 384."""
    min_count: int = 2
    """The light encoder leaves out words of fewer texts."""


class Encoder(Protocol):
    """Texts to vectors."""

    @property
    def dims(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors float32 [N, dims] of unit length, or 0 for a text without any known word."""
        ...


@dataclass(frozen=True, eq=False)
class Light:
    """TF-IDF over words and pairs of words, projected on its first singular directions."""

    words: TfidfVectorizer
    directions: np.ndarray
    """float32 [words, dims]."""

    @property
    def dims(self) -> int:
        return int(self.directions.shape[1])

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors float32 [N, dims] of unit length to five digits, 0 for a text without a known word.

        Pure: a text's vector does not depend on the other texts. Each distinct text is read once.
        """
        distinct, places = np.unique(np.array(texts, dtype=object), return_inverse=True)
        vectors = unit(self.words.transform(distinct) @ self.directions)
        return np.round(vectors, DECIMALS)[places]


def fit_encoder(content: Content, texts: Sequence[str], rng: np.random.Generator) -> Encoder:
    """The encoder, where it is fitted: to the distinct ones of these texts, which should be those of training items.

    Raises UserError for an unknown encoder, for one that is not installed, and for texts without words.
    """
    if content.encoder == "light":
        return _fit_light(content, texts, rng)
    if content.encoder == "minilm":
        from .minilm import load_minilm

        return load_minilm()
    raise UserError(f"the encoder {content.encoder} is not known; choose one of: {', '.join(ENCODERS)}.")


def unit(vectors: np.ndarray) -> np.ndarray:
    """float32 [N, d] of length 1; a vector of length 0 stays."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))[:, None]
    scaled: np.ndarray = vectors / np.where(lengths > 0, lengths, 1)
    return scaled.astype(np.float32)


def finite(vectors: np.ndarray, where: str) -> np.ndarray:
    """The vectors as float32 [N, d]; raises UserError with `where`, row and dimension of the first other value."""
    with np.errstate(over="ignore"):
        kept = np.asarray(vectors, dtype=np.float32)
    bad = np.argwhere(~np.isfinite(kept))
    if len(bad):
        row, place = bad[0]
        raise UserError(
            f"{where}, row {row + 1}: dimension {place + 1} is {kept[row, place]}; give finite numbers."
        )
    return kept


def _fit_light(content: Content, texts: Sequence[str], rng: np.random.Generator) -> Light:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(
        token_pattern=r"(?u)\b\w+\b",
        ngram_range=(1, 2),
        min_df=content.min_count,
        sublinear_tf=True,
        dtype=np.float32,
    )
    distinct = np.unique(np.array(texts, dtype=object))
    try:
        counts = words.fit_transform(distinct)
    except ValueError:
        raise UserError(
            f"no word stands in {content.min_count} of the {len(distinct)} distinct texts; "
            "give longer texts or a smaller min_count."
        ) from None
    dims = min(content.dims, counts.shape[1], counts.shape[0])
    svd = TruncatedSVD(dims, random_state=int(rng.integers(2**31))).fit(counts)
    return Light(words, np.ascontiguousarray(svd.components_.T, dtype=np.float32))
