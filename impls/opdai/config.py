"""Configurations of OPDAI's implementations. Plain data: importing this loads neither numpy nor lightgbm."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Merge = Literal["target", "all"]


@dataclass(frozen=True)
class Embedding:
    """LightGCN, as in the authors' `lgcn_v2`, at a size that two cores can train."""

    dim: int = 256
    """Dimensions d of user and item vectors."""
    layers: int = 3
    """Propagation layers L; the mean over layers 0..L scores."""
    epochs: int = 120
    """Passes over the interactions; fixed in advance, no early stopping on judged labels."""
    learning_rate: float = 3e-3
    """Adam's step size."""


@dataclass(frozen=True)
class Single:
    """One pre-ranker alone: its score orders the candidates."""

    model: str
    """A name of `models.MODELS`, e.g. itemcf-iou."""
    merge: Merge = "target"
    """Fitted on the target market only, or on the merge of all markets."""
    tables: tuple[str, ...] = ("train", "train_5core", "valid_qrel")
    """Tables of each market in the corpus; the target's own valid_qrel never enters."""
    embedding: Embedding | None = None
    """Size of LightGCN; None for every other model."""


@dataclass(frozen=True)
class Trees:
    """LightGBM with the paper's parameters (authors' code, `config.py`)."""

    objective: Literal["binary", "lambdarank"] = "binary"
    """The paper: binary with AUC; lambdarank is an ablation."""
    rounds: int = 250
    """Boosting rounds, fixed: early stopping on the reported fold would leak."""
    leaves: int = 5
    """num_leaves."""
    learning_rate: float = 0.05
    """Shrinkage."""
    min_child_weight: float = 5.0
    """Smallest sum of hessians in a leaf."""
    lambda_l1: float = 0.1
    """L1 on leaf values."""
    lambda_l2: float = 8.0
    """L2 on leaf values."""
    feature_fraction: float = 0.8
    """Share of features a tree may use."""
    bagging_fraction: float = 0.8
    """Share of rows a tree sees."""
    bagging_freq: int = 4
    """Trees between two draws of rows."""


@dataclass(frozen=True)
class TwoStage:
    """Pre-rankers on merges of markets, then LightGBM over their scores (the whole of OPDAI)."""

    others: tuple[str, ...] | None = None
    """Markets merged with the target: None is all that the data offer, () is none."""
    tables: tuple[str, ...] = ("train", "train_5core", "valid_qrel")
    """Tables of each market in every corpus; the target's own valid_qrel never enters."""
    graph: bool = True
    """Graph and embedding pre-rankers (RP3beta, GF-CF, bi-graph, Word2Vec, node2vec, LightGCN)."""
    sequence: bool = True
    """Statistics of the similarities between a candidate and each item of the history."""
    embedding: Embedding | None = field(default_factory=Embedding)
    """LightGCN on the target market; None leaves it out."""
    wide_embedding: Embedding | None = field(default_factory=lambda: Embedding(dim=512, layers=4))
    """A second, wider LightGCN on the target market; None leaves it out."""
    trees: Trees = field(default_factory=Trees)
    """The ranker."""
    folds: int = 10
    """Folds of the out-of-fold judgement, and models in the bag."""
    split: Literal["users", "rows"] = "users"
    """What a fold holds: whole users, or rows as in the authors' code."""
    leak: Literal["none", "everywhere", "training rows"] = "none"
    """Negative control: a pre-ranker fitted with the judged labels as a feature."""
    shuffled_labels: bool = False
    """Negative control: labels permuted within each list."""


@dataclass(frozen=True)
class Nested:
    """Bagging judged by nested folds: outer folds hold users out of everything, inner folds make the bag."""

    system: TwoStage = field(default_factory=TwoStage)
    """The two-stage system whose ranker is bagged."""
    outer: int = 5
    """Outer folds of users."""
    ranker: Literal["bag", "one of the bag", "one on all rows"] = "bag"
    """What scores the held-out users."""


@dataclass(frozen=True)
class ItemCFForm:
    """ItemCF-IUF on one market, written in one of two ways."""

    form: Literal["dictionary", "sparse"] = "sparse"
    """dictionary: pairs counted in Python, as competition code does; sparse: one matrix product."""
    single: Single = field(default_factory=lambda: Single("itemcf-iuf", tables=("train_5core",)))
    """Model and corpus, the same for both."""


@dataclass(frozen=True)
class Inference:
    """A bag of fold models scoring lists."""

    form: Literal["lightgbm", "tables"] = "tables"
    """Who walks the trees: LightGBM, or the tables of `bag.py`."""
    users: int = 250
    """Lists scored in a round."""
    trained_on: int = 200
    """Lists that the bag is trained on: what it costs to walk a tree does not depend on how it was grown."""
    system: TwoStage = field(default_factory=lambda: TwoStage(embedding=None, wide_embedding=None))
    """Whose first stage and ranker make the bag; only its speed is measured."""


@dataclass(frozen=True)
class Cost:
    """A part of the system, computed anew with nothing kept from before."""

    part: Literal["first stage", "ranker", "lightgcn"] = "first stage"
    """first stage: every piece of the system; ranker: the folds; lightgcn: one embedding alone."""
    system: TwoStage = field(default_factory=TwoStage)
    """Whose part."""


@dataclass(frozen=True)
class Growth:
    """One pre-ranker on generated markets `factor` times the size of t1."""

    model: str
    """A name of `models.MODELS`."""
    factor: int = 1
    """Multiple of `users` and `items`."""
    users: int = 9_700
    """Users of the target at factor 1, as t1 has."""
    items: int = 3_400
    """Items of every market at factor 1, as t1 has."""
