"""One request through a T5 with drawn weights: by transformers' own beam search, or by ours."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import torch

from remeasure.errors import UserError

from ..decoder.context import Encoded
from ..engine.beam import BeamSearch
from ..peers.questions import Generation
from ..peers.t5 import T5Decoder, T5Steps, build


def generating(asked: Generation, seed: int) -> Callable[[], None]:
    """What a round runs, X given. Raises UserError where transformers is not installed."""
    if importlib.util.find_spec("transformers") is None:
        raise UserError("transformers is not installed; say `pip install transformers`.")
    from ..peers.generate import generated

    generator = torch.Generator().manual_seed(seed)
    model = build(asked.codes, asked.d, asked.layers, asked.heads, generator)
    x = torch.randn(1, asked.places, asked.d, generator=generator)
    encoded = Encoded(x, torch.ones(1, asked.places, dtype=torch.bool))
    decoder = T5Decoder(model, asked.codes)
    search = BeamSearch(asked.codes, (asked.width,) * len(asked.codes), value=False)

    def once() -> None:
        if asked.how == "engine":
            with torch.inference_mode():
                search.search(T5Steps(decoder, encoded))
        else:
            generated(model, encoded, asked.codes, asked.width, once=asked.how != "generate")

    return once
