"""The measured questions about OPDAI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from remeasure.contracts import Arm, At, Prepare, case
from remeasure.datasets.xmrec.request import Request

from .arms import (
    ABLATIONS,
    BAGGING,
    CONTROLS,
    COSTS,
    GROWTH,
    INFERENCE,
    ITEMCF_FORMS,
    PRERANK_SPEED,
    RANKING,
    SINGLE_MODELS,
    SLOW,
    SOURCES,
)
from .config import Nested, Single
from .measures import COST, CPU, FIT_AND_SCORE, PEAK_MB, QUALITY
from .measures import INFERENCE as INFERENCE_TIME

TINY = {
    "scale": "tiny",
    "folds": 2,
    "outer": 2,
    "trees.rounds": 10,
    "embedding.dim": 8,
    "embedding.epochs": 1,
    "wide_embedding": None,
    "system.folds": 2,
    "system.trees.rounds": 10,
    "system.embedding.dim": 8,
    "system.embedding.epochs": 1,
    "system.wide_embedding": None,
}
SMOKE = {
    "scale": "smoke",
    "folds": 5,
    "trees.rounds": 120,
    "embedding.dim": 64,
    "embedding.epochs": 30,
    "wide_embedding": None,
}
THREE = (2022, 1, 2)
EIGHT = tuple(range(8))
"""Processes of a timed case that a claim compares."""

T1 = Request(target="t1")
S3 = Request(target="s3")
T2 = Request(target="t2", lists="resampled", seed=2022)


def ranked(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What every ranking case runs: the arm's system on the target's lists."""
    from .measures import cost, quality
    from .twostage import nested, single, two_stage

    def run() -> dict[str, object]:
        if isinstance(arm.config, Single):
            result = single(data, arm.config, 0)
        elif isinstance(arm.config, Nested):
            result = nested(data, arm.config, seed)
        else:
            result = two_stage(data, arm.config, seed)
        return quality(result) | cost(result)

    return run


def ranking_case(
    name: str, question: str, arms: tuple[Arm, ...], profiles: dict[str, At], **options: Any
) -> Any:
    """A case over `ranked`: the same run on other arms, lists or folds."""

    def prepare(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
        return ranked(arm, data, seed)

    prepare.__doc__ = question
    declared: Prepare = prepare
    return case(
        name=name,
        dataset="xmrec",
        arms=arms,
        metrics=(*QUALITY, *COST),
        profiles={"tiny": At(seeds=(0,), set=TINY, evidence="scaled"), **profiles},
        timeout_s=4 * 3600,
        isolated=False,
        times_itself=True,
        **options,
    )(declared)


ONE_SEED = {"standard": At(seeds=(2022,)), "full": At(seeds=THREE)}
THREE_SEEDS = {"standard": At(seeds=THREE), "full": At(seeds=THREE)}
"""A claim needs three seeds for a word; what no claim rests on is shown with one. Another seed costs what the rankers
cost, 5 to 8 CPU minutes: the first stage is kept from the seed before."""
SMOKE_TWO = {"smoke": At(seeds=(2022, 1), set=SMOKE, evidence="scaled")}

ranking = ranking_case(
    "ranking",
    "How good is the ranking of t1's official lists, from one simple model to the whole system?",
    RANKING,
    {**SMOKE_TWO, **THREE_SEEDS},
    request=T1,
)
ranking_s3 = ranking_case(
    "ranking-s3",
    "The same systems, frozen, on a second complete market: s3 as the target, all others merged with it.",
    RANKING,
    THREE_SEEDS,
    request=S3,
)
ranking_t2 = ranking_case(
    "ranking-t2",
    "The same systems, frozen, on t2, whose official lists are not published here: lists resampled by their law.",
    RANKING,
    THREE_SEEDS,
    request=T2,
)
sources = ranking_case(
    "sources",
    "What does each other market give to t1?",
    SOURCES,
    ONE_SEED,
    request=T1,
    tags=("partial",),
)
ablations = ranking_case(
    "ablations",
    "What does each part of the system give on t1?",
    ABLATIONS,
    ONE_SEED,
    request=T1,
    tags=("partial",),
)
controls = ranking_case(
    "controls",
    "What do a leaked label and shuffled labels do? Negative controls: none of their results is valid.",
    CONTROLS,
    THREE_SEEDS,
    request=T1,
    tags=("partial",),
)
bagging = ranking_case(
    "bagging",
    "Does a bag of ten fold models rank unseen users better than one model?",
    BAGGING,
    THREE_SEEDS,
    request=T1,
    tags=("partial",),
)


@case(
    dataset="xmrec",
    request=T1,
    arms=SINGLE_MODELS,
    metrics=(*QUALITY, FIT_AND_SCORE),
    profiles={
        "tiny": At(seeds=(0,), set=TINY, evidence="scaled"),
        "asv": At(
            seeds=(0,), set=TINY, evidence="scaled", arms=("itemcf-iou, all markets", "ease", "rp3beta")
        ),
        "smoke": At(
            seeds=(0,),
            set={"scale": "smoke"},
            arms=tuple(a.name for a in SINGLE_MODELS if a.name not in SLOW),
        ),
        "standard": At(seeds=(0,)),
        "full": At(seeds=(0,)),
    },
    timeout_s=2 * 3600,
    isolated=False,
    times_itself=True,
    tags=("deterministic", "tracked", "partial"),
)
def single_models(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How good is each pre-ranker alone on t1, fitted on the target or on all markets?"""
    from .measures import quality
    from .twostage import single

    def run() -> dict[str, object]:
        result = single(data, arm.config, 0)
        return quality(result) | {FIT_AND_SCORE.name: result.first_stage_s}

    return run


@case(
    dataset="xmrec",
    request=T1,
    arms=PRERANK_SPEED,
    metrics=(FIT_AND_SCORE,),
    tags=("partial",),
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set=TINY, evidence="scaled"),
        "smoke": At(seeds=(0,), rounds=3, set={"scale": "smoke"}),
        "standard": At(seeds=EIGHT[:5], rounds=6),
        "full": At(seeds=EIGHT[:5], rounds=12),
    },
)
def prerank_speed(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """How long do the pre-rankers over all markets take, merge given, to fit and score every list?"""
    from .features import Workbench
    from .pieces import single_piece

    bench = Workbench(data, arm.config.tables, keep=False)
    piece = single_piece(data, arm.config)
    bench.corpus(piece.markets)

    def run() -> None:
        bench.score(piece)

    return run


@case(
    dataset="xmrec",
    request=replace(T1, scale="smoke"),
    simulated=True,
    arms=ITEMCF_FORMS,
    metrics=(FIT_AND_SCORE,),
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set=TINY, evidence="scaled"),
        "asv": At(seeds=(0, 1, 2), rounds=10, set=TINY, evidence="scaled"),
        "smoke": At(seeds=(0, 1, 2), rounds=20),
        "standard": At(seeds=EIGHT, rounds=10, precision={FIT_AND_SCORE.name: 0.1}),
        "full": At(seeds=EIGHT, rounds=20, precision={FIT_AND_SCORE.name: 0.1}),
    },
    tags=("tracked", "partial"),
)
def itemcf_forms(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """How much faster is ItemCF as one sparse product than as dictionaries of pairs?"""
    from .dictionary import itemcf_iuf
    from .features import Workbench
    from .pieces import single_piece

    bench = Workbench(data, ("train_5core",), keep=False)
    piece = single_piece(data, arm.config.single)
    corpus = bench.corpus(piece.markets)

    def run() -> None:
        if arm.config.form == "dictionary":
            itemcf_iuf(corpus, bench.users, bench.candidates)
        else:
            bench.score(piece)

    return run


@case(
    dataset="xmrec",
    request=T1,
    arms=INFERENCE,
    metrics=(INFERENCE_TIME,),
    profiles={
        "tiny": At(seeds=(0,), rounds=2, set={**TINY, "users": 40, "trained_on": 40}, evidence="scaled"),
        "asv": At(seeds=(0, 1, 2), rounds=10, set={**TINY, "users": 40, "trained_on": 40}, evidence="scaled"),
        "standard": At(seeds=EIGHT, rounds=6, precision={INFERENCE_TIME.name: 0.1}),
        "full": At(seeds=EIGHT, rounds=12, precision={INFERENCE_TIME.name: 0.1}),
    },
    tags=("tracked", "partial"),
)
def bag_inference(arm: Arm, data: Any, seed: int) -> Callable[[], None]:
    """How fast does the bag of ten models score a user's list, as LightGBM and as tables?"""
    from .runs.inference import prepared

    return prepared(arm.config, data)


@case(
    dataset="xmrec",
    request=T1,
    arms=COSTS,
    metrics=(CPU,),
    profiles={
        "tiny": At(seeds=(0,), set=TINY, evidence="scaled"),
        "standard": At(seeds=(0, 1, 2)),
        "full": At(seeds=(0, 1, 2)),
    },
    isolated=False,
    times_itself=True,
    timeout_s=4 * 3600,
    tags=("partial",),
)
def stage_cost(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """What do the stages cost on one core when nothing is kept from before?"""
    from .runs.costs import cost_of

    return lambda: cost_of(arm.config, data, seed)


@case(
    dataset="xmrec",
    request=replace(T1, scale="tiny"),
    simulated=True,
    arms=GROWTH,
    metrics=(FIT_AND_SCORE, PEAK_MB),
    profiles={
        "tiny": At(
            seeds=(0,),
            set={**TINY, "users": 300, "items": 120},
            evidence="scaled",
            arms=("itemcf-iuf ×1", "swing ×2"),
        ),
        "smoke": At(seeds=(0,), set={"users": 2400, "items": 900}, evidence="scaled"),
        "standard": At(seeds=(0, 1, 2)),
        "full": At(seeds=(0, 1, 2)),
    },
    isolated=False,
    times_itself=True,
    axis="users and items, × t1",
    tags=("growth", "partial"),
)
def growth(arm: Arm, data: Any, seed: int) -> Callable[[], dict[str, object]]:
    """How do time and memory of the first stage grow with users and items, on generated markets?"""
    from .runs.growth import grown

    return grown(arm.config, seed)
