"""What the cases ask about other people's decoders, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Generation:
    """One request through the decoder of a T5 with drawn weights, its encoder's output given."""

    how: Literal["generate", "generate, X once", "engine"] = "engine"
    """generate: transformers' own beam search. generate, X once: the same, handed the keys and values of X, which it
    would compute from a copy of X for every beam. engine: our beam search on the same weights."""
    width: int = 512
    """Beams, as many after every level."""
    codes: tuple[int, ...] = (1024, 256, 64)
    """V_1 … V_T."""
    d: int = 256
    layers: int = 9
    """Of the decoder; the encoder has as many, which never run."""
    heads: int = 8
    places: int = 64
    """S, places of the encoder's output."""
