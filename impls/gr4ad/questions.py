"""What the cases ask, as data. Importing this loads no torch, so listing cases stays quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config import Fuse


@dataclass(frozen=True)
class Decoding:
    """One request through a decoder with drawn weights: its speed does not depend on what was learned."""

    parallel: int = 0
    """K; 0 is plain AR."""
    widths: tuple[int, ...] = (512, 512, 512)
    """Beams kept after each level."""
    kv: Literal["shared", "replicated"] = "shared"
    """Whether the beams of a request share the context's keys and values."""
    codes: tuple[int, ...] = (1024, 256, 64)
    """V_1 … V_T."""
    d: int = 256
    layers: int = 9
    """L."""
    heads: int = 8
    history: int = 63
    """Items of the context; the user is one place more."""
    bins: int = 16
    """Bins of the eCPM token, which is decoded too."""
    fuse: Fuse = "gated"
    only: Literal["request", "products"] = "request"
    """products: nothing but the matrix products that the request makes, as the limit of its speed."""


@dataclass(frozen=True)
class TopK:
    """The best of all beams' candidates, once."""

    how: Literal["torch", "precut", "pruned"] = "pruned"
    """torch: one choice among all; precut: each beam's best, then theirs (§5); pruned: groups whose best is too low are
    left out."""
    beams: int = 512
    codes: int = 4096
    keep: int = 512
