"""What the cases ask, as data. Importing this loads no torch, so listing cases stays quick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .config import Auxiliary, Fuse


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


@dataclass(frozen=True)
class Generating:
    """GR4AD, or as much of it as an arm has, trained and served on a data set."""

    scheme: Literal["rq", "mr", "mr+business", "mr+item", "mr+counter", "rqvae+counter", "random"] = "mr+item"
    """The tokenizer, of `sid/schemes.py`."""
    sizes: tuple[int, int, int] = (256, 64, 64)
    """Codes of its levels."""
    dims: int = 48
    """Dimensions of the content vectors, where texts have to be read."""
    history: int = 64
    """S, items of the context."""
    d: int = 64
    layers: int = 3
    """L."""
    parallel: int = 0
    """K; 0 is plain AR."""
    heads: int = 4
    fuse: Fuse = "gated"
    auxiliary: Auxiliary = "through"
    dropout: float = 0.0
    bins: int = 0
    """Bins of the eCPM token; 0: no such token (NTP)."""
    weights: bool = False
    """Whether samples are weighed by the user's value and by depth (§3)."""
    half_life: float | None = None
    """Days after which a training sample is drawn half as often, back from the last one; None: all alike."""
    reach: int = 1
    """How many baskets later an item is still asked for, in training."""
    reach_decay: float = 0.5
    """Chance of asking for the basket after next as a multiple of that for the next one, and so on."""
    steps: int = 900
    batch: int = 256
    rate: float = 4e-3
    """AdamW's."""
    decay: float = 0.01
    """AdamW's weight decay."""
    objective: Literal["none", "dpo", "s-dpo", "grpo", "rspo"] = "none"
    """What is learned from preferences after that."""
    beta: float = 0.5
    """β of the objective; the weight of the KL term for GRPO."""
    norm: float = 2.0
    """Norm of the objective's gradient at its first step."""
    mix: Literal["fixed", "unified"] = "fixed"
    """unified: UVR (§4.4)."""
    preference_steps: int = 150
    widths: tuple[int, int, int] = (32, 64, 128)
    """Beams kept after each level."""
    order: Literal["log p", "token", "known"] = "log p"
    """What orders the items of the beams, beside log p: E[eCPM] from the token, or the value known at serving."""


@dataclass(frozen=True)
class Bidding:
    """A bidding rule, replayed on logged auctions."""

    rule: Literal["mcpc", "lin_bid", "rlb", "ss_mdp"] = "rlb"
    episode: int = 1_000
    """Auctions that share a budget."""
    base: int = 10
    """Bid of lin_bid for an auction of the mean click rate; the published one."""


@dataclass(frozen=True)
class Tokenizing:
    """A tokenizer on a whole catalogue."""

    scheme: Literal["rq", "mr", "mr+business", "mr+item", "mr+counter", "rqvae+counter", "random"] = "mr+item"
    """Of `sid/schemes.py`, all at one code space but for the counters."""
    sizes: tuple[int, int, int] = (1024, 256, 64)
    """Codes of the levels; equal levels have their geometric mean."""
    dims: int = 384
    """Dimensions of the vectors, made of the texts before anything is measured."""
    slack: float = 1.25
    """Largest cluster of a balanced level, as a multiple of the mean over distinct vectors."""
