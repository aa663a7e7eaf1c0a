"""Configurations of the baselines that generate nothing. Plain data: importing this loads neither numpy nor torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Popularity:
    """The same list for everybody: what was taken most."""

    days: float | None = None
    """How far back from the last event of training is counted; None is all of it. Where the data set's clock counts
    steps, days mean nothing and None is the only choice."""
    by: Literal["events", "users", "value"] = "events"
    """What is counted: events, distinct users, or values, capped at their 99th percentile."""


@dataclass(frozen=True)
class Frequency:
    """What the user took most often, then what is popular."""

    size: int | None = 64
    """Events of the history that count, the last ones; None is all of it, more than other arms are given."""
    decay: float = 1.0
    """Weight of a basket as a multiple of that of the basket after it."""
    days: float | None = None
    """`Popularity.days` of what orders equal weights, and all that the user never took."""
    by: Literal["events", "users", "value"] = "events"
    """`Popularity.by` of the same."""


@dataclass(frozen=True)
class Neighbours:
    """What followed the items of the history in training, and what reads like them."""

    size: int = 64
    """Events of the history that count, the last ones."""
    decay: float = 0.5
    """Weight of a history's basket as a multiple of that of the basket after it."""
    text: float = 0.3
    """Weight of the cosine of two items' texts against one transition."""
    reach: int = 1
    """How many baskets later an item still follows another."""
    reach_decay: float = 0.7
    """Weight of following one basket later than another."""
    back: float = 0.0
    """Weight of having followed in the other direction."""
    together: float = 0.0
    """Weight of having stood in one basket."""
    evenly: float = 0.0
    """Power of an item's count in training by which its transitions are divided: 0 leaves them as counts, 1 makes
    about shares of them."""
    half_life: float | None = None
    """Days after which a transition counts half, back from the last event of training; None never. Where the data set's
    clock counts steps, days mean nothing and None is the only choice."""


@dataclass(frozen=True)
class Sasrec:
    """Self-attention over the ids of the history (Kang and McAuley 2018), with a softmax over all items."""

    size: int = 64
    """Events of the history that are read, the last ones."""
    dim: int = 64
    """Dimensions d of item and position vectors."""
    layers: int = 2
    """Blocks of attention and feed-forward."""
    heads: int = 2
    """Heads of attention; they divide `dim`."""
    dropout: float = 0.3
    """Share of numbers that are set to 0 in training, after the input and after each half of a block."""
    learning_rate: float = 1e-3
    """AdamW's step size, constant."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    batch: int = 128
    """Windows of histories a step."""
    half_life: float | None = None
    """Days after which what came next counts half, back from the last event of training; None never. Where the data
    set's clock counts steps, days mean nothing and None is the only choice."""
    epochs: int = 40
    """Passes over the training part."""


Baseline = Popularity | Frequency | Neighbours | Sasrec
