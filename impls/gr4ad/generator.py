"""GR4AD as a recommender: tokenizer, decoder and learning put together by an arm's configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from remeasure.datasets.common.interactions import Items, Rows, Split, training_rows
from remeasure.errors import UserError

from .baselines.scoring import events
from .config import Shape
from .decoder.decoder import Decoder, build
from .engine.beam import BeamSearch
from .learning.objectives import Objective, objective
from .learning.prefer import Preference, PreferenceTrainer, Reward
from .learning.train import Recipe, Supervised, Trainer
from .learning.updates import AdamW
from .learning.value import ValueBins
from .questions import Generating
from .recommend import Index, Recommender
from .requests import Catalogue, Requests
from .samples import Units, samples_of
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


class Tokens(NamedTuple):
    """What a tokenizer makes of N items."""

    vectors: np.ndarray
    """float32 [N, c], content."""
    sids: np.ndarray
    """int64 [N, T]."""
    codes: tuple[int, ...]
    """V_1 … V_T, codes of each level."""


class Training:
    """A generator being fitted, an update at a time: to what happened, then to preferences where an arm has any."""

    def __init__(
        self,
        split: Split,
        asked: Generating,
        seed: int,
        tokens: Tokens | None = None,
        known: np.ndarray | None = None,
        reward: Reward | None = None,
    ) -> None:
        """Nothing but the split's training part is read; `tokens` are made from it where they are not given."""
        if asked.objective != "none" and reward is None:
            raise UserError("preference learning needs a reward; give one, or choose the objective none.")
        self.items, self.asked, self.seed, self.known, self.reward = split.items, asked, seed, known, reward
        self.tokens = tokens or tokenized(split, asked, seed)
        catalogue = Catalogue.of(split.items, self.tokens.vectors, self.tokens.sids)
        rows = training_rows(split.train)
        units = Units.fit(rows, asked.bins)
        self.mean_spent, self.bins = units.mean_spent, units.bins
        self.samples = samples_of(rows, catalogue, asked, units)
        decoder = build(
            shape_of(asked, self.tokens.codes), catalogue.inputs, torch.Generator().manual_seed(seed)
        )
        self.supervised = Supervised(value_token=bool(asked.bins), weights=asked.weights)
        recipe = Recipe(asked.steps, asked.batch, AdamW(asked.rate, asked.decay), self.supervised)
        self.first = Trainer(decoder, self.samples, recipe, seed)
        self.second: PreferenceTrainer | None = None
        """Preference learning, from the first of its updates on."""

    @property
    def steps(self) -> int:
        """Updates in all."""
        return self.asked.steps + (self.asked.preference_steps if self.asked.objective != "none" else 0)

    @property
    def done(self) -> int:
        """Updates so far."""
        return self.first.updates.done + (self.second.updates.done if self.second else 0)

    def step(self) -> float:
        """One more update; its loss."""
        if self.first.updates.done < self.asked.steps:
            return self.first.step()
        self.second = self.second or self.preferring()
        return self.second.step()

    def preferring(self) -> PreferenceTrainer:
        """Preference learning that begins with the decoder as it is."""
        asked = self.asked
        if self.reward is None:
            raise ValueError("without a reward there are no preferences")
        how = Preference(
            _objective(asked), asked.norm, asked.mix, asked.preference_steps, supervised=self.supervised
        )
        index = Index.of(self.tokens.sids, self.tokens.codes)
        return PreferenceTrainer(self.first.decoder, self.samples, index, self.reward, how, self.seed)

    def generator(self) -> Generator:
        """The generator as far as it is fitted."""
        return assembled(
            self.items, self.tokens, self.asked, self.first.decoder, self.mean_spent, self.bins, self.known
        )


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
    training = Training(split, asked, seed, known=known, reward=reward)
    while training.done < training.steps:
        training.step()
    return training.generator()


def assembled(
    items: Items,
    tokens: Tokens,
    asked: Generating,
    decoder: Decoder,
    mean_spent: float,
    bins: ValueBins | None,
    known: np.ndarray | None,
) -> Generator:
    """A trained decoder with what it needs to answer."""
    catalogue = Catalogue.of(items, tokens.vectors, tokens.sids)
    search = BeamSearch(tokens.codes, asked.widths, value=asked.order == "token")
    index = Index.of(tokens.sids, tokens.codes)
    return Generator(Recommender(decoder, search, index, bins, known), catalogue, asked, mean_spent)


def shape_of(asked: Generating, codes: tuple[int, ...]) -> Shape:
    """The decoder of an arm over levels of these sizes."""
    return Shape(
        codes, asked.bins, asked.d, asked.layers, asked.parallel, asked.heads, asked.fuse,
        asked.auxiliary, asked.dropout,
    )  # fmt: skip


def tokenized(split: Split, asked: Generating, seed: int) -> Tokens:
    """Content vectors and ids, fitted to what training knows."""
    rng = np.random.default_rng([seed, 5])
    trained, business = split.known, business_of(split.items)
    vectors = content(split, Content(dims=asked.dims), rng)
    fitted = tokenizer(asked.scheme, asked.sizes).fit(vectors[trained], business.select(trained), rng)
    return Tokens(vectors, fitted.encode(vectors, business), fitted.sizes)


def content(split: Split, how: Content, rng: np.random.Generator) -> np.ndarray:
    """Content vectors float32 [N, c]: those that the data bring, else of texts, by what training items say."""
    if split.items.vectors is not None:
        return split.items.vectors
    encoder = fit_encoder(how, split.items.text[split.known].tolist(), rng)
    return encoder.encode(split.items.text.tolist())


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
