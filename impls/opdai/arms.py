"""The arms of OPDAI's cases: roles, ablations and negative controls, as data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from remeasure.contracts import Arm, Tuning

from .config import Cost, Embedding, Growth, Inference, ItemCFForm, Nested, Single
from .optimized import SINGLE_MARKET
from .reference import BEST_SINGLE, OPDAI
from .strawman import GMF, POPULARITY

_SELECTION = json.loads(Path(__file__).with_name("selection.json").read_text(encoding="utf-8"))


def _tuning(system: str) -> Tuning:
    """What was tried for a system before anything was judged, as `select.py` recorded it."""
    tried = _SELECTION["systems"][system]
    space = {name: tuple(values) for name, values in _SELECTION["space"].items()}
    return Tuning(
        space=space, trials=len(tried["trials"]), judged_on=_SELECTION["judged_on"], chosen=tried["chosen"]
    )


_STRAWMEN = (Arm("popularity", "strawman", POPULARITY), Arm("GMF", "strawman", GMF))
_SINGLE_MARKET = Arm(
    "single market, two stages", "optimized", SINGLE_MARKET, tuning=_tuning("single market, two stages")
)
_REFERENCE = Arm("opdai", "reference", OPDAI, tuning=_tuning("opdai"))
_NO_SOURCES = Arm("opdai, no other market", "ablation", replace(OPDAI, others=()))

RANKING = (
    *_STRAWMEN,
    Arm("best single model", "ablation", BEST_SINGLE),
    _SINGLE_MARKET,
    _REFERENCE,
    _NO_SOURCES,
    Arm("opdai, no graph", "ablation", replace(OPDAI, graph=False)),
)

SOURCES = (
    _REFERENCE,
    _NO_SOURCES,
    *(
        Arm(f"opdai, only {market}", "ablation", replace(OPDAI, others=(market,)))
        for market in ("s1", "s2", "s3", "t2")
    ),
)

ABLATIONS = (
    _REFERENCE,
    Arm("opdai, no LightGCN", "ablation", replace(OPDAI, embedding=None, wide_embedding=None)),
    Arm("opdai, no wide LightGCN", "ablation", replace(OPDAI, wide_embedding=None)),
    Arm("opdai, no sequence statistics", "ablation", replace(OPDAI, sequence=False)),
    Arm("opdai, lambdarank", "ablation", replace(OPDAI, trees=replace(OPDAI.trees, objective="lambdarank"))),
    Arm("opdai, folds of rows", "ablation", replace(OPDAI, split="rows")),
    Arm("opdai, train only", "ablation", replace(OPDAI, tables=("train", "valid_qrel"))),
    Arm("opdai, 5-core only", "ablation", replace(OPDAI, tables=("train_5core", "valid_qrel"))),
)

_LEAK = "negative control: a feature is fitted with the labels it is judged on"
CONTROLS = (
    _REFERENCE,
    Arm("opdai, leaked feature", "control", replace(OPDAI, leak="everywhere"), invalid=_LEAK),
    Arm("opdai, leaked feature, deployed", "control", replace(OPDAI, leak="training rows"), invalid=_LEAK),
    Arm(
        "opdai, shuffled labels",
        "control",
        replace(OPDAI, shuffled_labels=True),
        invalid="negative control: the labels are drawn at random within each list",
    ),
)

BAGGING = (
    Arm("bag of fold models", "reference", Nested(OPDAI, ranker="bag")),
    Arm("one fold model", "ablation", Nested(OPDAI, ranker="one of the bag")),
    Arm("one model on all rows", "ablation", Nested(OPDAI, ranker="one on all rows")),
)

_ON_TARGET_AND_ALL = (
    "itemcf-iuf",
    "itemcf-rating",
    "itemcf-cosine",
    "itemcf-iou",
    "rp3beta",
    "usercf",
    "bi-graph",
    "llr",
    "swing",
    "ease",
)
_ON_TARGET = ("als", "word2vec", "gf-cf", "node2vec", "lightgcn")
SLOW = ("lightgcn", "lightgcn d512")
"""Single models that take minutes on real markets."""

SINGLE_MODELS = (
    Arm("popularity", "strawman", POPULARITY),
    Arm("popularity, train", "strawman", Single("popularity", tables=("train",))),
    Arm("popularity, all markets", "strawman", Single("popularity-everywhere", merge="all")),
    Arm("GMF", "strawman", GMF),
    *(Arm(name, "ablation", Single(name)) for name in (*_ON_TARGET_AND_ALL, *_ON_TARGET)),
    Arm("lightgcn d512", "ablation", Single("lightgcn", embedding=Embedding(dim=512, layers=4))),
    *(Arm(f"{name}, all markets", "ablation", Single(name, merge="all")) for name in _ON_TARGET_AND_ALL),
)

PRERANK_SPEED = tuple(
    Arm(
        f"{name}, all markets",
        "strawman" if name == "popularity-everywhere" else "reference",
        Single(name, merge="all"),
    )
    for name in ("popularity-everywhere", "itemcf-iuf", "itemcf-iou", "swing")
)

ITEMCF_FORMS = (
    Arm("dictionaries", "strawman", ItemCFForm("dictionary")),
    Arm("sparse product", "reference", ItemCFForm("sparse")),
)

INFERENCE = (
    Arm("LightGBM", "strawman", Inference("lightgbm")),
    Arm("tables", "reference", Inference("tables")),
)

COSTS = (
    Arm(
        "first stage without LightGCN",
        "reference",
        Cost("first stage", replace(OPDAI, embedding=None, wide_embedding=None)),
    ),
    Arm("ranker, 10 folds", "reference", Cost("ranker")),
    Arm("LightGCN", "reference", Cost("lightgcn")),
)

AFFORDABLE = {
    "itemcf-iuf": (1, 2, 4, 8),
    "usercf": (1, 2, 4, 8),
    "llr": (1, 2, 4, 8),
    "rp3beta": (1, 2, 4, 8),
    "swing": (1, 2, 4, 8),
    "als": (1, 2, 4, 8),
    "gf-cf": (1, 2, 4),
    "ease": (1, 2, 4),
}
"""Factors at which a pre-ranker takes minutes rather than hours or more memory than a laptop has."""

GROWTH = tuple(
    Arm(f"{name} ×{factor}", "reference", Growth(name, factor), series=name, x=float(factor))
    for factor in (1, 2, 4, 8)
    for name, factors in AFFORDABLE.items()
    if factor in factors
)
