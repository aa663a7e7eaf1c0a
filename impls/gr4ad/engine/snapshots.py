"""What answers requests at one moment, as one thing with one version, and how the next one takes its place (§5, §6).

A model, the ids that its contexts are made of and the index that it generates from belong together: beams of one model
under another's trie are the answer of neither. So a request takes a whole snapshot once and looks at nothing else.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, replace

import numpy as np

from ..recommend import Order, Recommender
from ..requests import Catalogue, Requests
from .trie import pack


@dataclass(frozen=True, eq=False)
class Answer:
    """What R requests were given, and by which snapshot."""

    version: int
    items: np.ndarray
    """int64 [R, k], best first; −1 where the catalogue ends."""
    scores: np.ndarray
    """float32 or float64 [R, k]."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Never changed. It can be pickled, so that one process trains and another one serves."""

    version: int
    recommender: Recommender
    catalogue: Catalogue
    """Whose ids contexts are made of; those of the index's items are the index's."""

    def __post_init__(self) -> None:
        index = self.recommender.index
        if not np.array_equal(pack(self.catalogue.sids.numpy()[index.item], index.trie.codes), index.packed):
            raise ValueError(
                f"version {self.version} is a mixture: its index has other ids than its catalogue"
            )

    @classmethod
    def of(cls, version: int, recommender: Recommender, catalogue: Catalogue) -> Snapshot:
        """With weights of its own, since training goes on in place; call it between two steps of it."""
        decoder = copy.deepcopy(recommender.decoder).eval().requires_grad_(False)
        return cls(version, replace(recommender, decoder=decoder), catalogue)

    def answer(self, requests: Requests, k: int, order: Order = "log p") -> Answer:
        """The first k items of each request; its histories are read with this snapshot's ids."""
        beams = self.recommender.beams(replace(requests, catalogue=self.catalogue))
        return Answer(self.version, *self.recommender.ranked(beams, k, order))


class Snapshots:
    """The snapshot in use. Any number of threads may ask while another one swaps: nobody waits for anybody."""

    def __init__(self, first: Snapshot) -> None:
        self._current = first
        self._swapping = threading.Lock()

    @property
    def current(self) -> Snapshot:
        """Read it once a request: it may be another one the next time."""
        return self._current

    def swap(self, following: Snapshot) -> None:
        """Answer with `following` from now on; requests under way end with what they began with.

        Raises ValueError for a version that is not later than the one in use.
        """
        with self._swapping:
            if following.version <= self._current.version:
                raise ValueError(f"version {following.version} does not follow {self._current.version}")
            self._current = following

    def answer(self, requests: Requests, k: int, order: Order = "log p") -> Answer:
        """What the snapshot in use when this begins says."""
        return self.current.answer(requests, k, order)
