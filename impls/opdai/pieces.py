"""Which pre-rankers are fitted on which merges of markets: the list of first-stage scores of a system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remeasure.datasets.xmrec.loader import XmrecData

from .config import Embedding, Single, TwoStage
from .merges import merges
from .models import MODELS
from .prerank.base import PreRanker
from .prerank.lightgcn import LightGCN


@dataclass(frozen=True)
class Piece:
    """One fitted pre-ranker and what is taken from it."""

    name: str
    markets: tuple[str, ...]
    model: PreRanker
    part: Literal["score", "statistics"] = "score"


def others(data: XmrecData, allowed: tuple[str, ...] | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Co-targets and sources that a system may use: all of the data's, or those named."""
    return tuple(
        tuple(name for name in names if allowed is None or name in allowed)
        for names in (data.co_targets, data.sources)
    )  # type: ignore[return-value]


MEMORY_EVERYWHERE = ("itemcf-iuf", "itemcf-rating")
MEMORY = ("itemcf-iou", "usercf", "llr", "swing", "ease")
GRAPH = ("rp3beta", "bi-graph")
GRAPH_TARGET_ONLY = ("gf-cf", "als", "node2vec")
SEQUENCES = ("itemcf-iou", "itemcf-cosine")


def pieces(data: XmrecData, system: TwoStage) -> list[Piece]:
    """The first stage of a system, in a fixed order, without duplicates."""
    co_targets, sources = others(data, system.others)
    combinations = merges(data.target, co_targets, sources)
    target = (data.target,)
    merged = (data.target, *co_targets, *sources)
    wide = tuple(dict.fromkeys([target, merged]))
    sequences = tuple(dict.fromkeys([target, (data.target, *sources), merged]))

    found = [_piece(name, merge) for merge in combinations for name in MEMORY_EVERYWHERE]
    found += [_piece(name, merge) for merge in wide for name in MEMORY]
    if system.graph:
        found += [_piece(name, merge) for merge in wide for name in GRAPH]
        found += [_piece(name, target) for name in GRAPH_TARGET_ONLY]
        if system.sequence:
            found.append(_piece("word2vec", target, "statistics"))
        found += [
            embedding_piece(e, target) for e in (system.embedding, system.wide_embedding) if e is not None
        ]
    if system.sequence:
        found += [_piece(name, merge, "statistics") for merge in sequences for name in SEQUENCES]
    return found


def single_piece(data: XmrecData, config: Single) -> Piece:
    """The one pre-ranker of a configuration and the merge it is fitted on."""
    markets = (data.target,) if config.merge == "target" else everything(data)
    if config.embedding is not None:
        return embedding_piece(config.embedding, markets)
    return Piece(config.model, markets, MODELS[config.model])


def everything(data: XmrecData) -> tuple[str, ...]:
    """All markets of the data, the target first."""
    return (data.target, *data.co_targets, *data.sources)


def embedding_piece(e: Embedding, markets: tuple[str, ...]) -> Piece:
    model = LightGCN(dimensions=e.dim, layers=e.layers, epochs=e.epochs, learning_rate=e.learning_rate)
    return Piece(f"lightgcn d{e.dim} @ {'+'.join(markets)}", markets, model)


def _piece(name: str, merge: tuple[str, ...], part: Literal["score", "statistics"] = "score") -> Piece:
    label = f"{name} @ {'+'.join(merge)}" + (" statistics" if part == "statistics" else "")
    return Piece(label, merge, MODELS[name], part)
