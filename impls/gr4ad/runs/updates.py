"""New ads beside a catalogue: what taking them in costs, and what requests notice of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from typing import Any, Protocol

import numpy as np
import torch

from remeasure.datasets.common.interactions import Interactions, Items

from ..engine.index import Index
from ..engine.snapshots import Snapshot, Snapshots
from ..requests import Catalogue, Requests
from ..serving.apart import ReadApart
from ..serving.intake import Intake, extended, some
from ..serving.inverted import Inverted
from ..serving.questions import UnderWay, Updating
from ..sid.index import SIDIndex
from .shop import Shop, served, shop_of

K = 50
"""Items of an answer."""


class Takes(Protocol):
    """An index that new ads come into."""

    def take(self, ads: Items) -> None:
        """The ads can be had when this ends."""

    def forget(self) -> None:
        """As before the ads were taken in."""

    def differing(self, ads: Items) -> int:
        """Entries in which the index that has taken them differs from one that is made of all ads at once."""


def updating(asked: Updating, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What a round runs: all new ads at once, then some of them one by one."""
    shop = shop_of(asked, data, seed)
    kinds: dict[str, Callable[[], Takes]] = {
        "sid": lambda: _Sids(shop, asked, seed),
        "ivf": lambda: _Lists(shop, asked, seed),
    }
    index = kinds[asked.index]()
    one_by_one = [some(shop.new, np.array([at])) for at in range(min(asked.singles, len(shop.new)))]

    def timed(ads: Items) -> float:
        index.forget()
        before = time.process_time()
        index.take(ads)
        return time.process_time() - before

    unlike = index.differing(shop.new)

    def once() -> dict[str, object]:
        return {
            "CPU of all new ads": timed(shop.new),
            "CPU of one ad, p50": 1e3 * float(np.median([timed(ad) for ad in one_by_one])),
            "entries unlike a rebuild": unlike,
            "extras": {"products before": len(shop.old), "new ads": len(shop.new)},
        }

    return once


class _Sids:
    """Ids, trie, catalogue and names, as a server has them."""

    def __init__(self, shop: Shop, asked: Updating, seed: int) -> None:
        self.shop, self.anew = shop, asked.how == "built anew"
        self.first = served(shop, asked, seed)
        self.names = SIDIndex.of(shop.old.ids, shop.sids)
        self.last = self.first
        self.added = shop.old.ids[:0]

    def take(self, ads: Items) -> None:
        self.added = ads.ids
        if self.anew:
            vectors, sids = self.shop.reader.read(ads)
            self.last, self.names = self._rebuilt(ads, vectors, sids)
        else:
            self.last = Intake(self.shop.reader, Snapshots(self.first), self.names).add(ads)

    def forget(self) -> None:
        self.names.remove(self.added)
        self.added = self.added[:0]

    def differing(self, ads: Items) -> int:
        self.forget()
        self.take(ads)
        wanted, names = self._rebuilt(ads, *self.shop.reader.read(ads))
        had, made = self.last.recommender.index, wanted.recommender.index
        pairs = [
            (had.packed, made.packed),
            (had.item, made.item),
            (had.trie.ids, made.trie.ids),
            *zip(had.trie.prefixes, made.trie.prefixes, strict=True),
        ]
        return sum(_unlike(*pair) for pair in pairs) + (self.names != names)

    def _rebuilt(self, ads: Items, vectors: np.ndarray, sids: np.ndarray) -> tuple[Snapshot, SIDIndex]:
        """Everything that serving needs, made of all ads; the model and what is known of old ads are kept."""
        shop, first = self.shop, self.first
        ids = np.concatenate((shop.old.ids, ads.ids))
        every = replace(
            shop.old,
            ids=ids,
            text=np.concatenate((shop.old.text, ads.text)),
            account=np.concatenate((shop.old.account, ads.account)),
            conversion=np.concatenate((shop.old.conversion, ads.conversion)),
        )
        sids = np.concatenate((shop.sids, sids))
        catalogue = Catalogue.of(every, np.concatenate((shop.vectors, vectors)), sids)
        recommender = replace(first.recommender, index=Index.of(sids, shop.codes))
        return Snapshot(first.version + 1, recommender, catalogue), SIDIndex.of(ids, sids)


class _Lists:
    """Vectors in lists."""

    def __init__(self, shop: Shop, asked: Updating, seed: int) -> None:
        self.shop, self.lists, self.seed = shop, asked.lists, seed
        self.anew = asked.how == "built anew"
        self.first = Inverted.fitted(shop.vectors, asked.lists, np.random.default_rng(seed))
        self.last = self.first

    def take(self, ads: Items) -> None:
        vectors = self.shop.reader.encoder.encode(ads.text.tolist())
        if self.anew:
            every = np.concatenate((self.shop.vectors, vectors))
            self.last = Inverted.fitted(every, self.lists, np.random.default_rng(self.seed))
        else:
            items = np.arange(len(self.shop.old), len(self.shop.old) + len(ads))
            self.last = self.first.with_items(vectors, items)

    def forget(self) -> None:
        self.last = self.first

    def differing(self, ads: Items) -> int:
        self.take(ads)
        vectors = self.shop.reader.encoder.encode(ads.text.tolist())
        made = Inverted.of(np.concatenate((self.shop.vectors, vectors)), self.last.centres)
        return _unlike(self.last.begin, made.begin) + _unlike(self.last.item, made.item)


def under_way(asked: UnderWay, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What a round runs: requests one after another by the wall's clock, and updates beside them."""
    shop = shop_of(asked.updating, data, seed)
    first = served(shop, asked.updating, seed)
    requests = _requests(shop, first.catalogue, data, asked)
    read = None
    if asked.where == "thread":
        read = shop.reader.read
    if asked.where == "process":
        read = ReadApart(shop.reader).read
        read(shop.new)  # the other process has started when this is answered

    def once() -> dict[str, object]:
        snapshots = Snapshots(first)
        took = []
        with _Updates(snapshots, first, shop.new, read, asked.every) as updates:
            for request in requests:
                before = time.perf_counter()
                snapshots.answer(request, K)
                took.append(time.perf_counter() - before)
        return {
            "latency, p95": 1e3 * float(np.quantile(took, 0.95)),
            "latency, p50": 1e3 * float(np.median(took)),
            "updates meanwhile": updates.done,
        }

    return once


class _Updates:
    """Swaps the new ads in, again and again beside the first snapshot's, until the block ends."""

    def __init__(
        self,
        snapshots: Snapshots,
        first: Snapshot,
        ads: Items,
        read: Callable[[Items], tuple[np.ndarray, np.ndarray]] | None,
        every: float,
    ) -> None:
        self.snapshots, self.first, self.ads, self.read, self.every = snapshots, first, ads, read, every
        self.done = 0
        self._ends = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> _Updates:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        if self._failed:
            raise self._failed

    def _run(self) -> None:
        try:
            while self.read and not self._ends.is_set():
                began = time.perf_counter()
                self.done += 1
                self.snapshots.swap(extended(self.first, self.ads, *self.read(self.ads), version=self.done))
                self._ends.wait(max(0.0, began + self.every - time.perf_counter()))
        except BaseException as error:  # or the round would measure requests without updates
            self._failed = error


def _requests(shop: Shop, catalogue: Catalogue, data: Interactions, asked: UnderWay) -> list[Requests]:
    """Rows of the data one by one, as often as needed; items of their histories that are new are left out."""
    rows = data.test.rows
    history = asked.updating.decoding.history
    place = np.full(len(data.test.items), -1)
    place[shop.places] = np.arange(len(shop.old))
    every = Requests.of(rows, catalogue, history, 1.0)
    item = torch.from_numpy(np.where(every.item >= 0, place[every.item], -1))
    singles = [
        Requests(catalogue, item[at : at + 1], every.gap[at : at + 1], every.user[at : at + 1])
        for at in range(min(len(rows), asked.requests))
    ]
    return list(islice(cycle(singles), asked.requests))


def _unlike(one: np.ndarray, other: np.ndarray) -> int:
    """Places at which two arrays differ; of other lengths, all of the longer one."""
    return int((one != other).sum()) if one.shape == other.shape else max(len(one), len(other))
