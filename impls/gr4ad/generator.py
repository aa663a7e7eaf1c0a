"""GR4AD as a recommender: tokenizer, decoder and learning put together by an arm's configuration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from remeasure.datasets.common.interactions import Items, Log, Rows, Split, training_rows
from remeasure.errors import UserError

from .baselines.scoring import events
from .config import Shape
from .decoder.decoder import build
from .engine.beam import BeamSearch
from .learning.objectives import Objective, objective
from .learning.prefer import Preference, PreferenceTrainer, Reward
from .learning.train import Recipe, Supervised, train
from .learning.updates import AdamW
from .learning.value import SampleWeights, ValueBins
from .questions import Generating
from .recommend import Index, Recommender
from .requests import Catalogue, Requests, Samples
from .sid.business import business_of
from .sid.schemes import tokenizer
from .sid.vectors import Content, fit_encoder


@dataclass(frozen=True, eq=False)
class Generator:
    """A fitted system. It answers as the baselines do."""

    recommender: Recommender
    catalogue: Catalogue
    asked: Generating
    mean_spent: float
    """Value so far of a training row, the unit of the user's."""

    def requests(self, rows: Rows) -> Requests:
        """Rows as the decoder reads them."""
        return Requests.of(rows, self.catalogue, self.asked.history, self.mean_spent)

    def top(self, rows: Rows, k: int, exclude_seen: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """The k best items of every row, int64 [R, k], and their scores, float32 [R, k]; −1 where a list ends."""
        beams = self.recommender.beams(self.requests(rows))
        if not exclude_seen:
            return self.recommender.ranked(beams, k, self.asked.order)
        items, scores = self.recommender.ranked(beams, k + 2 * self.asked.widths[-1], self.asked.order)
        return _unseen(items, scores, rows, k)


def fit(
    split: Split,
    asked: Generating,
    seed: int,
    known: np.ndarray | None = None,
    reward: Reward | None = None,
) -> Generator:
    """Everything is learned from the split's training part.

    known    float64 [N], the items' value as known at serving, for the order `known`
    reward   what scores the lists of preference learning
    """
    vectors, sids, codes = tokenized(split, asked, seed)
    catalogue = Catalogue.of(split.items, vectors, sids)
    rows = training_rows(split.train)
    mean_spent = float(rows.spent().mean()) or 1.0
    samples, bins = _samples(rows, catalogue, asked, mean_spent)
    shape = Shape(
        codes, asked.bins, asked.d, asked.layers, asked.parallel, asked.heads, asked.fuse,
        asked.auxiliary, asked.dropout,
    )  # fmt: skip
    decoder = build(shape, catalogue.inputs, torch.Generator().manual_seed(seed))
    supervised = Supervised(value_token=bool(asked.bins), weights=asked.weights)
    recipe = Recipe(asked.steps, asked.batch, AdamW(asked.rate, asked.decay), supervised)
    train(decoder, samples, recipe, seed)
    index = Index.of(sids, codes)
    if asked.objective != "none":
        if reward is None:
            raise UserError("preference learning needs a reward; give one, or choose the objective none.")
        how = Preference(
            _objective(asked), asked.norm, asked.mix, asked.preference_steps, supervised=supervised
        )
        learning = PreferenceTrainer(decoder, samples, index.trie, reward, how, seed)
        for _ in range(how.steps):
            learning.step()
    search = BeamSearch(codes, asked.widths, value=asked.order == "token")
    return Generator(Recommender(decoder, search, index, bins, known), catalogue, asked, mean_spent)


def tokenized(split: Split, asked: Generating, seed: int) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
    """Content vectors float32 [N, c], ids int64 [N, T] and the codes of each level; fitted to what training knows."""
    rng = np.random.default_rng([seed, 5])
    items, trained = split.items, split.known
    vectors = items.vectors
    if vectors is None:
        vectors = _read(items, trained, asked, rng)
    business = business_of(items)
    fitted = tokenizer(asked.scheme, asked.sizes).fit(vectors[trained], business.select(trained), rng)
    return vectors, fitted.encode(vectors, business), fitted.sizes


def _read(items: Items, trained: np.ndarray, asked: Generating, rng: np.random.Generator) -> np.ndarray:
    encoder = fit_encoder(Content(dims=asked.dims), items.text[trained], rng)
    return encoder.encode(items.text)


def _samples(
    rows: Rows, catalogue: Catalogue, asked: Generating, mean_spent: float
) -> tuple[Samples, ValueBins | None]:
    """All pairs of training, with the token of their value and their weight."""
    row = rows.row()
    bins = ValueBins.fit(rows.value, asked.bins) if asked.bins else None
    spent, deep = rows.spent()[row], _depth(rows.log, rows) > 0
    weight = SampleWeights.fit(spent, deep).of(spent, deep)
    token = bins.of(rows.value) if bins else np.zeros(len(row), dtype=np.int64)
    samples = Samples(
        Requests.of(rows, catalogue, asked.history, mean_spent),
        torch.from_numpy(row),
        torch.from_numpy(rows.item),
        torch.from_numpy(token),
        torch.from_numpy(weight.astype(np.float32)),
    )
    return samples, bins


def _depth(log: Log, rows: Rows) -> np.ndarray:
    """int64 [T], of training rows, whose targets are the events that follow the history."""
    within = np.arange(len(rows.item)) - np.repeat(rows.offsets[:-1], np.diff(rows.offsets))
    depth: np.ndarray = log.depth[rows.end[rows.row()] + within]
    return depth


def _objective(asked: Generating) -> Objective:
    if asked.objective == "grpo":
        return objective("grpo", kl=asked.beta)
    return objective(asked.objective, beta=asked.beta)


def _unseen(items: np.ndarray, scores: np.ndarray, rows: Rows, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The first k of each list that stand nowhere in the row's history."""
    row, place = events(rows)
    span = int(max(items.max(initial=0), rows.log.item.max(initial=0))) + 2
    seen = np.unique(row * span + rows.log.item[place])
    drop = np.isin(np.arange(len(items))[:, None] * span + items, seen) | (items < 0)
    order = np.argsort(drop, axis=1, kind="stable")[:, :k]
    gone = np.take_along_axis(drop, order, axis=1)
    return (
        np.where(gone, -1, np.take_along_axis(items, order, axis=1)),
        np.where(gone, -np.inf, np.take_along_axis(scores, order, axis=1)),
    )
