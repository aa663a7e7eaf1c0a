"""What a cascade is made of. Plain data: importing this loads neither numpy nor torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Until = Literal["retrieval", "pre-rank", "rank"]


@dataclass(frozen=True)
class Towers:
    """Two-tower retrieval: one vector a request, one an item, and their inner product."""

    dim: int = 32
    """Dimensions d of the vectors."""
    negatives: int = 4096
    """Items drawn evenly for every step, against which its targets stand; all items where there are no more."""
    learning_rate: float = 3e-3
    """AdamW's step size, constant."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    batch: int = 256
    """Histories a step, each with all items of the basket that followed."""
    epochs: int = 10
    """Passes over the histories."""


@dataclass(frozen=True)
class Trees:
    """The pre-ranker: gradient-boosted trees with cross-entropy, by LightGBM."""

    rounds: int = 100
    """Trees."""
    depth: int = 5
    """Comparisons from root to leaf, at most; a tree may have all 2^depth leaves."""
    learning_rate: float = 0.1
    """Shrinkage of every tree."""
    least: int = 20
    """Candidates in a leaf, at least."""
    lambda_l2: float = 1.0
    """Penalty on leaves."""
    list: int = 25
    """Candidates of a training list: the targets, and others drawn evenly."""


@dataclass(frozen=True)
class Din:
    """The ranker: a deep interest network (Zhou et al. 2018)."""

    dim: int = 32
    """Dimensions d of the items' vectors."""
    hidden: int = 64
    """Units of the last map but one; attention has half as many."""
    learning_rate: float = 1e-3
    """AdamW's step size, constant."""
    weight_decay: float = 0.01
    """AdamW's weight decay."""
    batch: int = 128
    """Lists a step."""
    epochs: int = 2
    """Passes over the lists."""
    list: int = 25
    """Candidates of a training list: the targets, and others drawn evenly."""


@dataclass(frozen=True)
class Cascade:
    """Three stages, each on what the one before left."""

    size: int = 10
    """Events of the history that are read, the last ones."""
    until: Until = "rank"
    """The last stage that is run; the front over costs has all three."""
    retrieved: int = 300
    """Items that the towers leave."""
    kept: int = 60
    """Items that the trees leave."""
    folds: int = 3
    """Parts of the users: what a stage learns from is scored by earlier stages that saw none of that user."""
    rows: int | None = 20_000
    """Histories that trees and ranker learn from, drawn evenly; None is all."""
    half_life: float | None = None
    """Days after which what came next counts half, back from the last event of training; None never. Where the data
    set's clock counts steps, days mean nothing and None is the only choice."""
    towers: Towers = field(default_factory=Towers)
    trees: Trees = field(default_factory=Trees)
    din: Din = field(default_factory=Din)
