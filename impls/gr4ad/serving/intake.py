"""How a new ad becomes one that can be generated, while requests go on (§5): text → vector → id → index → snapshot."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from remeasure.datasets.common.interactions import Items

from ..engine.snapshots import Snapshot, Snapshots
from ..requests import Catalogue
from ..sid.business import business_of
from ..sid.index import SIDIndex
from ..sid.tokenizer import Tokenizer
from ..sid.vectors import Encoder


@dataclass(frozen=True, eq=False)
class Reader:
    """What turns ads into ids. Nothing in it changes, and it can be pickled, so another process may read."""

    encoder: Encoder
    tokenizer: Tokenizer

    def read(self, ads: Items) -> tuple[np.ndarray, np.ndarray]:
        """Content vectors float32 [n, c] and semantic ids int64 [n, T]."""
        vectors = self.encoder.encode(ads.text.tolist())
        return vectors, self.tokenizer.encode(vectors, business_of(ads))


@dataclass(frozen=True, eq=False)
class Intake:
    """Takes ads in, one call after another; any number of threads may be answering meanwhile."""

    reader: Reader
    snapshots: Snapshots
    names: SIDIndex
    """Ids of the ads by name."""

    def add(self, ads: Items) -> Snapshot:
        """The snapshot that answers from now on. Raises UserError for an ad that is there already, and changes
        nothing then."""
        vectors, sids = self.reader.read(ads)
        following = extended(self.snapshots.current, ads, vectors, sids)
        self.names.add(ads.ids, sids)
        self.snapshots.swap(following)
        return following


def extended(
    snapshot: Snapshot,
    ads: Items,
    vectors: np.ndarray,
    sids: np.ndarray,
    known: np.ndarray | None = None,
    version: int | None = None,
) -> Snapshot:
    """The next version, with n more ads behind the others: no old one changes its place, its id or its vector.

    vectors, sids    float32 [n, c], int64 [n, T]
    known            float64 [n], the ads' values as known at serving, where the recommender knows such values
    version          where it is not that of the snapshot and 1
    """
    before, recommender = snapshot.catalogue, snapshot.recommender
    new = Catalogue.of(ads, vectors, sids)
    catalogue = Catalogue(
        torch.cat((before.vectors, new.vectors)),
        torch.cat((before.sids, new.sids)),
        torch.cat((before.account, new.account)),
        torch.cat((before.conversion, new.conversion)),
        before.inputs,
    )
    places = np.arange(len(before.sids), len(catalogue.sids))
    index = recommender.index.with_items(sids, places)
    if recommender.known is not None:
        if known is None:
            raise ValueError("the recommender knows the value of its items; give that of the new ones")
        recommender = replace(recommender, known=np.concatenate((recommender.known, known)))
    following = snapshot.version + 1 if version is None else version
    return Snapshot(following, replace(recommender, index=index), catalogue)


def some(items: Items, places: np.ndarray) -> Items:
    """Items at int64 places [n]; accounts and conversion types keep their numbers."""
    columns = ("ids", "text", "account", "conversion", "price", "vectors", "sids")
    parts = {name: getattr(items, name) for name in columns}
    return replace(items, **{name: part[places] for name, part in parts.items() if part is not None})
