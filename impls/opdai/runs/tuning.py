"""Choosing the configuration without the reported labels: pairs held out of t1's training data judge every trial.

`remeasure do opdai select --out impls/opdai` writes `selection.json`: every trial of the reference and of the optimized
baseline, over the same space, with the same number of trials; and every pre-ranker alone, the best of which is what the
whole system is compared with. The winners are frozen in `reference.py` and `optimized.py`; a test keeps them equal.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from remeasure.datasets.xmrec.loader import XmrecData
from remeasure.datasets.xmrec.request import Request
from remeasure.impls.common.ranking import ndcg_at

from ..arms import SINGLE_MODELS
from ..config import TwoStage
from ..features import Workbench, first_stage
from ..optimized import SINGLE_MARKET
from ..reference import OPDAI
from ..twostage import single, two_stage

SPACE: dict[str, tuple[Any, ...]] = {"leaves": (5, 9), "rounds": (150, 250, 400)}
"""Fields of `Trees`; everything else is the paper's."""
SYSTEMS: dict[str, TwoStage] = {"opdai": OPDAI, "single market, two stages": SINGLE_MARKET}
SEED = 2022
FOLDS = 2
"""Folds of a trial: two rank as well as ten on these lists, for a seventh of the time."""
REQUEST = Request(lists="holdout", seed=SEED)


def select(data: XmrecData, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Judge every trial on held-out training pairs (`REQUEST`); what is returned is `selection.json`."""
    systems = {}
    for name, system in SYSTEMS.items():
        stage = first_stage(Workbench(data, system.tables), system)
        trials = []
        for choice in _choices():
            ranked = two_stage(
                data, replace(system, folds=FOLDS, trees=replace(system.trees, **choice)), SEED, stage
            )
            quality = round(float(ndcg_at(ranked.rank).mean()), 5)
            trials.append({**choice, "NDCG@10": quality, "ranker CPU s": round(ranked.ranker_s, 1)})
            report(f"{name}: {trials[-1]}")
        best = max(trials, key=lambda trial: trial["NDCG@10"])
        systems[name] = {
            "features": len(stage.rows.names),
            "trials": trials,
            "chosen": {f: best[f] for f in SPACE},
        }
    return {
        "judged_on": f"{data.target}: a training pair held out of each user's history, {len(data.users)} lists",
        "seed": SEED,
        "folds": FOLDS,
        "space": SPACE,
        "systems": systems,
        "single models": _single_models(data, report),
    }


def _single_models(data: XmrecData, report: Callable[[str], None]) -> dict[str, Any]:
    judged = {}
    for arm in SINGLE_MODELS:
        judged[arm.name] = round(float(ndcg_at(single(data, arm.config, 0).rank).mean()), 5)
        report(f"{arm.name}: {judged[arm.name]}")
    return {"NDCG@10": judged, "chosen": max(judged, key=lambda name: judged[name])}


def write(selection: dict[str, Any], folder: Path) -> Path:
    path = folder / "selection.json"
    path.write_text(json.dumps(selection, indent=1) + "\n", encoding="utf-8")
    return path


def _choices() -> Iterator[dict[str, Any]]:
    for values in itertools.product(*SPACE.values()):
        yield dict(zip(SPACE, values, strict=True))
