"""The running loop: serve with the snapshot in use, log, learn from the log, swap in the next snapshot (§4.4, §5).

The index follows what is on offer in every arm, also in the frozen one: new ads get their ids and can be generated at
once, ads that are gone are not. Each change is a new snapshot with a number of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import torch

from remeasure.datasets.common.interactions import Rows

from ..engine.beam import BeamSearch
from ..engine.index import Index
from ..engine.snapshots import Snapshot, Snapshots
from ..generator import Generator
from ..recommend import Recommender
from ..requests import Catalogue, Requests
from .journal import Journal
from .learners import Learner, Lesson
from .questions import Online
from .start import Start, trained
from .streams import Step

S = TypeVar("S", bound=Step)


@dataclass(frozen=True, eq=False)
class Served(Generic[S]):
    """What a step's requests were answered with."""

    number: int
    """From 0."""
    step: S
    version: int
    """Of the snapshot that answered all of them."""
    rows: Rows
    lists: np.ndarray
    """int64 [R, k], best first; −1 where a list ends."""


class Loop:
    """One arm in a stream."""

    def __init__(self, start: Start, asked: Online, seed: int, k: int, fresh: bool = False) -> None:
        """Lists have k items; `fresh` leaves out what the user's history holds."""
        self.start, self.asked, self.seed, self.k, self.fresh = start, asked, seed, k, fresh
        self.decoder = copy.deepcopy(start.decoder)
        self.journal = Journal(start.log, float(start.log.time.max()))
        self.learner = Learner.of(asked)
        codes = start.naming.tokenizer.sizes
        index = Index.of(start.catalogue.sids.numpy(), codes, np.zeros(0, dtype=np.int64))
        search = BeamSearch(codes, asked.widths, value=asked.order == "token")
        first = Recommender(self.decoder, search, index, start.units.bins)
        self.snapshots = Snapshots(Snapshot.of(0, first, start.catalogue))
        self.done = 0

    def run(self, stream: Iterable[S]) -> Iterator[Served[S]]:
        """Step after step."""
        for step in stream:
            yield self.step(step)

    def step(self, step: S) -> Served[S]:
        """Serve a step's requests, then learn from it where an update is due."""
        self._offer(step)
        snapshot = self.snapshots.current
        rows = step.requests(self.journal.log)
        lists = self._answer(snapshot, rows)
        self.journal = self.journal.add(*step.answered(rows, lists, self.asked.offers), step.end)
        served = Served(self.done, step, snapshot.version, rows, lists)
        self.done += 1
        if self.done % self.asked.every == 0 and self.asked.learning != "frozen":
            self._learn()
        return served

    def _answer(self, snapshot: Snapshot, rows: Rows) -> np.ndarray:
        asked = Generator(snapshot.recommender, snapshot.catalogue, self.asked, self.start.units.mean_spent)
        return asked.top(rows, self.k, self.fresh)[0]

    def _offer(self, step: Step) -> None:
        """Put new items into catalogue and index, and take those that are gone out of the index."""
        before = self.snapshots.current
        index = before.recommender.index
        new = np.setdiff1d(step.offered, index.item, assume_unique=True)
        gone = np.setdiff1d(index.item, step.offered, assume_unique=True)
        if not len(new) and not len(gone):
            return
        catalogue = self.start.naming.catalogue(step.items, before.catalogue)
        if len(gone):
            index = index.without(gone)
        if len(new):
            index = index.with_items(catalogue.sids.numpy()[new], new)
        self._swap(replace(before.recommender, index=index, known=step.known), catalogue)

    def _learn(self) -> None:
        """The next decoder, from what the journal holds and nothing else."""
        now = self.snapshots.current
        if self.asked.learning == "scratch":
            codes = self.start.naming.tokenizer.sizes
            self.decoder = trained(
                self.journal.log, now.catalogue, codes, self.start.units, self.asked, self.seed
            )
        else:
            lesson = self.lesson(now.catalogue)
            self.learner.learn(self.decoder, now.recommender.decoder, lesson, self.seed * 1000 + self.done)
        self.journal = self.journal.learned()
        self._swap(replace(now.recommender, decoder=self.decoder), now.catalogue)

    def lesson(self, catalogue: Catalogue) -> Lesson:
        """Of the lists of which something was taken."""
        rows, shown = self.journal.rows()
        kept = np.flatnonzero(shown.took.any(axis=1))
        rows, shown = rows.select(kept), shown.select(kept)
        units = self.start.units
        requests = Requests.of(rows, catalogue, self.asked.history, units.mean_spent)
        row, place = np.nonzero(shown.took)
        samples = units.samples(
            requests,
            rows.spent(),
            row,
            shown.item[row, place],
            shown.value[row, place],
            shown.depth[row, place],
        )
        pair = np.full(shown.item.shape, -1, dtype=np.int64)
        pair[row, place] = np.arange(len(row))
        value = torch.from_numpy(shown.value.astype(np.float32))
        return Lesson(samples, torch.from_numpy(shown.item), value, torch.from_numpy(pair))

    def _swap(self, recommender: Recommender, catalogue: Catalogue) -> None:
        self.snapshots.swap(Snapshot.of(self.snapshots.current.version + 1, recommender, catalogue))
