"""What all arms begin with: tokenizer, units and decoder, learned from the log before the stream.

The tokenizer and the units of values and weights stay as they are then: an ad keeps its id, and a token its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from remeasure.datasets.common.interactions import Items, Log, Split, training_rows

from ..decoder.decoder import Decoder, build
from ..generator import shape_of
from ..learning.train import Recipe, Supervised, train
from ..learning.updates import AdamW
from ..requests import Catalogue
from ..samples import Units, samples_of
from ..sid.business import business_of
from ..sid.schemes import tokenizer
from ..sid.tokenizer import Tokenizer
from ..sid.vectors import Content, Encoder, fit_encoder
from .questions import Online


@dataclass(frozen=True, eq=False)
class Naming:
    """From items to their content vectors and ids: pure, so that a new item changes nothing for the others."""

    encoder: Encoder | None
    """None where items bring vectors."""
    tokenizer: Tokenizer

    @classmethod
    def fit(cls, items: Items, trained: np.ndarray, asked: Online, seed: int) -> Naming:
        """To the items marked by bool [N]."""
        rng = np.random.default_rng([seed, 5])
        vectors, encoder = items.vectors, None
        if vectors is None:
            encoder = fit_encoder(Content(dims=asked.dims), items.text[trained].tolist(), rng)
            vectors = encoder.encode(items.text.tolist())
        business = business_of(items).select(trained)
        return cls(encoder, tokenizer(asked.scheme, asked.sizes).fit(vectors[trained], business, rng))

    def catalogue(self, items: Items, before: Catalogue | None = None) -> Catalogue:
        """Of all items; those that stand in `before` keep what they have there, and only new ones are read."""
        first = 0 if before is None else len(before.sids)
        if before is not None and first == len(items):
            return Catalogue.of(items, before.vectors.numpy(), before.sids.numpy())
        new = slice(first, len(items))
        vectors = (
            self.encoder.encode(items.text[new].tolist()) if self.encoder else np.asarray(items.vectors)[new]
        )
        sids = self.tokenizer.encode(vectors, business_of(items).select(np.arange(first, len(items))))
        if before is not None:
            vectors = np.concatenate((before.vectors.numpy(), vectors))
            sids = np.concatenate((before.sids.numpy(), sids))
        return Catalogue.of(items, vectors, sids)


@dataclass(frozen=True, eq=False)
class Start:
    """Before the first step. Nothing in it is changed: arms copy the decoder."""

    naming: Naming
    catalogue: Catalogue
    units: Units
    decoder: Decoder
    log: Log


def begun(split: Split, asked: Online, seed: int) -> Start:
    """Everything is learned from the split's training part, by VSL where there are bins, else by NTP."""
    naming = Naming.fit(split.items, split.known, asked, seed)
    catalogue = naming.catalogue(split.items)
    units = Units.fit(training_rows(split.train), asked.bins)
    decoder = trained(split.train, catalogue, naming.tokenizer.sizes, units, asked, seed)
    return Start(naming, catalogue, units, decoder, split.train)


def trained(
    log: Log, catalogue: Catalogue, codes: tuple[int, ...], units: Units, asked: Online, seed: int
) -> Decoder:
    """A new decoder, for ids of so many codes a level, that learns all of a log."""
    decoder = build(shape_of(asked, codes), catalogue.inputs, torch.Generator().manual_seed(seed))
    supervised = Supervised(value_token=bool(asked.bins), weights=asked.weights)
    recipe = Recipe(asked.steps, asked.batch, AdamW(asked.rate, asked.decay), supervised)
    return train(decoder, samples_of(training_rows(log), catalogue, asked, units), recipe, seed)
