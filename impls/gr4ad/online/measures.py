"""What is read from a stream: value over a third of its steps, the delay of new ads, the loss on what came first."""

from __future__ import annotations

import numpy as np
import torch

from remeasure.datasets.adsim.world import World
from remeasure.datasets.common.interactions import Rows

from ..decoder.decoder import Decoder
from ..learning.prefer import id_log_p
from ..measures import Ratio
from ..requests import Requests


def third_of(step: int, steps: int) -> int:
    """1, 2 or 3: which third of a stream a step lies in, counted from 0."""
    return 1 + 3 * step // steps


def joined(parts: list[Ratio], users: np.ndarray) -> Ratio:
    """All rows of the parts, and users int64 [U] without any row among them: they count 0 of 0, so that arms and
    thirds have a value for the same users and the overall ratio stays."""
    nothing = np.zeros(len(users))
    every = [*parts, Ratio(users, nothing, nothing)]
    return Ratio(*(np.concatenate([getattr(part, name) for part in every]) for name in vars(every[0])))


def earned(world: World, rows: Rows, lists: np.ndarray) -> Ratio:
    """Revenue of lists int64 [R, k], of what the best lists earn."""
    best = world.oracle(rows.user, lists.shape[1])
    return Ratio(rows.user, world.revenue(rows.user, lists), world.revenue(rows.user, best))


def first_of_users(rows: Rows, begin: float) -> np.ndarray:
    """int64, the first row of every user who had a history before `begin`, in the users' order."""
    early = np.flatnonzero(rows.log.time[rows.start] < begin)
    order = early[np.lexsort((rows.time[early], rows.user[early]))]
    first = np.unique(rows.user[order], return_index=True)[1]
    chosen: np.ndarray = order[first]
    return chosen


class Delays:
    """Of ads that are new in the stream: when each was put on offer, first shown, and taken off."""

    def __init__(self, offered: np.ndarray) -> None:
        """`offered` int64 [n] are the ads before the stream, which are not new."""
        self._came: dict[int, float] = {}
        self._ended: dict[int, float] = {}
        self._shown: set[int] = set()
        self._offered = offered

    def add(self, offered: np.ndarray, begin: float, lists: np.ndarray, time: np.ndarray) -> None:
        """A step in which ads int64 [n] were on offer from `begin` on, and lists int64 [R, k] shown at `time` [R]."""
        new = np.setdiff1d(offered, self._offered, assume_unique=True)
        self._came |= dict.fromkeys(new.tolist(), begin)
        gone = np.setdiff1d(self._offered, offered, assume_unique=True)
        self._offered = offered
        shown, first = np.unique(lists, return_index=True)
        self._shown.update(shown.tolist())
        moments = [*zip(gone.tolist(), np.full(len(gone), begin).tolist(), strict=True)]
        moments += zip(shown.tolist(), time[first // lists.shape[1]].tolist(), strict=True)
        for ad, moment in moments:
            if ad in self._came:
                self._ended.setdefault(ad, moment)

    def of(self, end: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ads int64 [n], ascending; whether each was ever shown, bool [n]; how long each waited, float64 [n]: one that
        was never shown waited until it was taken off, or to the stream's end."""
        ads = np.array(sorted(self._came), dtype=np.int64)
        shown = np.array([ad in self._shown for ad in ads.tolist()], dtype=bool)
        waited = [self._ended.get(ad, end) - self._came[ad] for ad in ads.tolist()]
        return ads, shown, np.array(waited, dtype=np.float64)


@torch.inference_mode()
def loss(decoder: Decoder, requests: Requests, item: np.ndarray, batch: int = 512) -> np.ndarray:
    """float64 [R], nats: -log p of one item int64 [R] for each request."""
    decoder.eval()
    ids = requests.catalogue.sids[torch.from_numpy(item)][:, None]
    parts = [
        id_log_p(decoder, requests.batch(slice(first, first + batch)), ids[first : first + batch])[:, 0]
        for first in range(0, len(item), batch)
    ]
    found: np.ndarray = -torch.cat(parts).double().numpy()
    return found
