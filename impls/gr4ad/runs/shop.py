"""A catalogue that is served, and new ads for it: what the cases of updates begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import torch

from remeasure.datasets.common.interactions import Interactions, Items
from remeasure.errors import UserError

from ..decoder.decoder import build
from ..engine.index import Index
from ..engine.snapshots import Snapshot
from ..recommend import Recommender
from ..requests import Catalogue
from ..serving.intake import Reader, some
from ..serving.questions import Updating
from ..sid.business import business_of
from ..sid.schemes import tokenizer
from ..sid.vectors import Content, fit_encoder
from .drawn import search_of, shape_of


@dataclass(frozen=True, eq=False)
class Shop:
    """A catalogue with everything fitted to it, and ads that it lacks."""

    reader: Reader
    old: Items
    places: np.ndarray
    """int64 [N], of the old ones among the data's items."""
    new: Items
    vectors: np.ndarray
    """float32 [N, c], of the old ones."""
    sids: np.ndarray
    """int64 [N, T], of the old ones."""
    codes: tuple[int, ...]


def shop_of(asked: Updating, data: Interactions, seed: int) -> Shop:
    """New ads are drawn from the catalogue; encoder and tokenizer are fitted to the others.

    What only differs in how ads are taken in has one shop. Raises UserError for more ads than there are products.
    """
    return _fitted(asked.encoder, asked.ads, asked.before, asked.sizes, asked.iterations, _Same(data), seed)


class _Same:
    """Wraps data so that a cache takes them by identity."""

    def __init__(self, data: Interactions) -> None:
        self.data = data

    def __hash__(self) -> int:
        return id(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.data is other.data


@lru_cache(maxsize=2)
def _fitted(
    encoder: Literal["light", "minilm"],
    ads: int,
    products: int,
    sizes: tuple[int, int, int],
    iterations: int,
    same: _Same,
    seed: int,
) -> Shop:
    items = same.data.test.items
    rng = np.random.default_rng([4, seed])
    products = products or len(items) - ads
    if ads + products > len(items) or products < 1:
        raise UserError(
            f"{products} products and {ads} new ads are more than the catalogue's {len(items)}; ask for fewer."
        )
    drawn = rng.permutation(len(items))
    new = some(items, np.sort(drawn[:ads]))
    places = np.sort(drawn[ads : ads + products])
    old = some(items, places)
    texts = old.text.tolist()
    reads = fit_encoder(Content(encoder), texts, rng)
    vectors = reads.encode(texts)
    scheme = tokenizer("mr+item", sizes, iterations=iterations)
    business = business_of(old)
    reader = Reader(reads, scheme.fit(vectors, business, rng))
    sids = reader.tokenizer.encode(vectors, business)
    return Shop(reader, old, places, new, vectors, sids, reader.tokenizer.sizes)


def served(shop: Shop, asked: Updating, seed: int) -> Snapshot:
    """The old ads, served by a decoder with drawn weights."""
    decoding = replace(asked.decoding, codes=shop.codes)
    catalogue = Catalogue.of(shop.old, shop.vectors, shop.sids)
    decoder = build(shape_of(decoding), catalogue.inputs, torch.Generator().manual_seed(seed))
    search = search_of(decoding, decoding.widths)
    return Snapshot.of(0, Recommender(decoder, search, Index.of(shop.sids, shop.codes)), catalogue)
