"""Decoders with drawn weights, and contexts for them: what a request costs does not depend on what was learned."""

from __future__ import annotations

import torch

from ..config import Inputs, Shape
from ..decoder.context import Encoded
from ..decoder.decoder import Decoder, build
from ..engine.beam import BeamSearch
from ..questions import Decoding

CONTEXT = Inputs(content=32, accounts=32, conversions=32)
"""Of the context processor, which runs once a request and is not timed."""


def drawn(asked: Decoding, contexts: int, seed: int) -> tuple[Decoder, list[Encoded]]:
    """A decoder, and contexts without gaps, as long as they may be."""
    generator = torch.Generator().manual_seed(seed)
    decoder = build(shape_of(asked), CONTEXT, generator).eval()
    places = asked.history + 1
    x = torch.randn(contexts, 1, places, asked.d, generator=generator)
    x = torch.nn.functional.rms_norm(x, (asked.d,))
    return decoder, [Encoded(one, torch.ones(1, places, dtype=torch.bool)) for one in x]


def shape_of(asked: Decoding) -> Shape:
    """The decoder's shape; nothing is trained, so there is no auxiliary loss."""
    return Shape(
        asked.codes, asked.bins, asked.d, asked.layers, asked.parallel, asked.heads, asked.fuse, "none"
    )


def search_of(asked: Decoding, widths: tuple[int, ...]) -> BeamSearch:
    """Beam search with these widths, the value token decoded where there is one."""
    return BeamSearch(asked.codes, widths, value=bool(asked.bins))
