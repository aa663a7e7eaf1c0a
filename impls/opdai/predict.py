"""Predictions for a target market: out-of-fold scores of its validation lists, the bag's scores of its test lists."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from remeasure.datasets.xmrec.loader import XmrecData

from .arms import RANKING
from .bag import Bag
from .config import Single, TwoStage
from .corpus import Purpose
from .features import Workbench, first_stage
from .ranker import out_of_fold, user_folds
from .reference import OPDAI
from .submission import write_submission, write_trec_run
from .twostage import single, two_stage

SEED = 2022


def submit(
    data: XmrecData, out: Path, system: TwoStage = OPDAI, report: Callable[[str], None] = print
) -> list[Path]:
    """Write `<market>/valid_pred.tsv` and, where there are test lists, `<market>/test_pred.tsv`.

    The key discipline of the paper: validation rows are scored without the target's labels, test rows with them.
    """
    report("first stage of the validation lists")
    judged = first_stage(Workbench(data, system.tables), system)
    folds = user_folds(len(data.users), system.folds, SEED)
    report("ranker")
    scores, boosters = out_of_fold(judged.rows, system.trees, folds, SEED)
    valid = out / data.target / "valid_pred.tsv"
    write_submission(valid, data.users, data.candidates, scores)
    if data.test_users is None or data.test_candidates is None:
        report(f"market {data.target} has no test lists: only {valid.name} was written")
        return [valid]
    report("first stage of the test lists")
    test = first_stage(Workbench(data, system.tables, purpose=Purpose.SUBMISSION), system)
    flat = test.rows.features.reshape(-1, test.rows.features.shape[-1])
    test_scores = Bag.of(boosters).predict(flat).reshape(data.test_candidates.shape)
    path = out / data.target / "test_pred.tsv"
    write_submission(path, data.test_users, data.test_candidates, test_scores)
    return [valid, path]


def export_runs(data: XmrecData, out: Path, report: Callable[[str], None] = print) -> list[Path]:
    """One TREC run file an arm of the ranking case, and the judged pairs as a TREC qrel."""
    paths = []
    for arm in RANKING:
        report(arm.name)
        run = (
            single(data, arm.config, 0)
            if isinstance(arm.config, Single)
            else two_stage(data, arm.config, SEED)
        )
        name = arm.name.replace(",", "").replace(" ", "-")
        paths.append(out / data.target / f"{name}.trec.gz")
        write_trec_run(paths[-1], data.users, data.candidates, run.scores, name)
    qrel = out / data.target / "qrel.trec"
    lines = np.char.add(np.char.add(np.char.add(data.users, " 0 "), data.positives), " 1")
    qrel.write_text("\n".join(lines.tolist()) + "\n", encoding="utf-8")
    return [*paths, qrel]
