"""The whole of OPDAI: first stage, ranker, out-of-fold judgement; and the same judged by nested folds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from remeasure.datasets.xmrec.loader import XmrecData
from remeasure.impls.common.ranking import ranks

from .cache import made
from .config import Nested, Single, TwoStage
from .features import FirstStage, Workbench, first_stage, leaking_column
from .pieces import single_piece
from .ranker import Rows, Trainer, fold_models, out_of_fold, predict, row_folds, user_folds


@dataclass(frozen=True, eq=False)
class Ranked:
    """Scores of every list, the rank of its positive, and the CPU seconds both stages took.

    users   str [users], ids of the judged users
    scores  float64 [users, candidates]
    rank    int [users], 1 is best
    """

    users: np.ndarray
    scores: np.ndarray
    rank: np.ndarray
    first_stage_s: float
    ranker_s: float


def single(data: XmrecData, config: Single, seed: int) -> Ranked:
    """One pre-ranker orders the candidates."""
    score = Workbench(data, config.tables, seed).score(single_piece(data, config))
    return _ranked(data, score.values.astype(np.float64), score.cpu_s, 0.0)


def two_stage(
    data: XmrecData, config: TwoStage, seed: int, stage: FirstStage | None = None, keep: bool = True
) -> Ranked:
    """Out-of-fold scores of the two-stage system; `stage` is its first stage if that was made before.

    keep=False trains the ranker even if the same rows were ranked before: for measuring the cost.
    """
    bench = Workbench(data, config.tables)
    stage = stage or first_stage(bench, config)
    rows, judged = stage.rows, None
    if config.leak != "none":
        leaky = _with_column(rows, leaking_column(bench))
        if config.leak == "training rows":
            judged = _with_column(rows, _honest_twin(bench))
        rows = leaky
    if config.shuffled_labels:
        rng = np.random.default_rng(seed)
        rows = replace(rows, positive=rng.integers(rows.shape[1], size=rows.shape[0]))
    split = user_folds(len(rows.features), config.folds, seed)
    if config.split == "rows":
        split = row_folds(*rows.shape, config.folds, seed)
    scores = made(
        lambda: out_of_fold(rows, config.trees, split, seed, judged)[0],
        *(
            _hash(array)
            for array in (rows.features, rows.positive, split, *([judged.features] if judged else []))
        ),
        repr(config.trees),
        str(seed),
        keep=keep,
    )
    return _ranked(data, scores.values, sum(stage.cpu_s.values()), scores.cpu_s, rows.positive)


def nested(data: XmrecData, config: Nested, seed: int) -> Ranked:
    """Outer folds of users are scored by a bag (or one model) made on the other users only."""
    stage = first_stage(Workbench(data, config.system.tables), config.system)
    rows = stage.rows
    scores = np.full(rows.shape, np.nan)
    start = time.process_time()
    outer = user_folds(len(rows.features), config.outer, seed)
    for fold in range(config.outer):
        inside, outside = rows.of(outer != fold), rows.of(outer == fold).features
        scores[outer == fold] = _bagged(inside, outside, config, seed).reshape(outside.shape[:2])
    return _ranked(data, scores, sum(stage.cpu_s.values()), time.process_time() - start)


def _bagged(inside: Rows, outside: np.ndarray, config: Nested, seed: int) -> np.ndarray:
    flat = outside.reshape(-1, outside.shape[-1])
    if config.ranker == "one on all rows":
        model = Trainer(inside, config.system.trees, seed).train(np.ones(inside.shape, dtype=bool))
        return predict(model, flat)
    models = fold_models(
        inside, config.system.trees, user_folds(len(inside.features), config.system.folds, seed), seed
    )
    if config.ranker == "one of the bag":
        return predict(next(models)[1], flat)
    return np.asarray(np.mean([predict(model, flat) for _, model in models], axis=0))


def _hash(array: np.ndarray) -> str:
    return sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def _with_column(rows: Rows, column: np.ndarray) -> Rows:
    return replace(
        rows,
        features=np.concatenate([rows.features, column[:, :, None]], axis=-1),
        names=(*rows.names, "ItemCF fitted with the judged labels"),
    )


def _honest_twin(bench: Workbench) -> np.ndarray:
    """The leaking column as it is at deployment, when the labels to be predicted are not in the corpus."""
    return bench.score(single_piece(bench.data, Single("itemcf-iuf", merge="all"))).values


def _ranked(
    data: XmrecData,
    scores: np.ndarray,
    first_stage_s: float,
    ranker_s: float,
    positive: np.ndarray | None = None,
) -> Ranked:
    """Padded places of short lists go last, then the positive's rank by trec_eval's rule."""
    if positive is None:
        positive = np.argmax(data.candidates == data.positives[:, None], axis=1)
    scores = np.where(data.candidates == "", -np.inf, scores)
    return Ranked(data.users, scores, ranks(scores, positive, data.candidates), first_stage_s, ranker_s)
