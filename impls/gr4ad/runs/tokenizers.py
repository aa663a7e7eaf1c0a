"""A tokenizer on a catalogue: how well its ids tell items apart, how even its levels are, what fitting costs."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from remeasure.datasets.common.interactions import Items

from ..cases.metrics import BALANCE, COLLIDED, CPR, EMPTY, EXCESS, FIT, LARGEST, UTIL
from ..questions import Tokenizing
from ..sid.business import business_of
from ..sid.metrics import balance, separation
from ..sid.schemes import tokenizer
from ..sid.tokenizer import distinct
from ..sid.vectors import Content, fit_encoder


def tokenized(asked: Tokenizing, items: Items, seed: int) -> Callable[[], dict[str, object]]:
    """What a round runs: fit and encode. The vectors are the same for all schemes and seeds."""
    encoder = fit_encoder(Content(dims=asked.dims), items.text.tolist(), np.random.default_rng(0))
    vectors = encoder.encode(items.text.tolist())
    places = np.unique(distinct(vectors)[1], return_index=True)[1]
    business = business_of(items)
    scheme = tokenizer(asked.scheme, asked.sizes, asked.slack)

    def run() -> dict[str, object]:
        begun = time.process_time()
        fitted = scheme.fit(vectors, business, np.random.default_rng([seed, 3]))
        codes = fitted.encode(vectors, business)
        spent = time.process_time() - begun
        apart = separation(codes, fitted.sizes)
        even = [balance(codes[places, level], fitted.sizes[level]) for level in (0, 1)]
        return {
            CPR.name: apart.cpr,
            COLLIDED.name: 100 * apart.collided_share,
            EXCESS.name: 100 * apart.excess,
            UTIL.name: 1000 * apart.util,
            LARGEST.name: apart.largest_bucket,
            BALANCE.name: max(each.largest for each in even),
            EMPTY.name: sum(each.empty for each in even),
            FIT.name: spent,
        }

    return run
