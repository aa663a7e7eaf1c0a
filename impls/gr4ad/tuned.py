"""What was chosen for the baselines, and all trials behind it: a file of `tuning/` for every data set.

Judged on the validation rows alone; `baselines/tuning.py` says how.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from remeasure.contracts import Tuning

from .baselines.arms import QUESTIONS
from .baselines.config import Baseline

FOLDER = Path(__file__).with_name("tuning")


def recorded(dataset: str) -> dict[str, Any]:
    """What the data set's file holds."""
    read: dict[str, Any] = json.loads((FOLDER / f"{dataset}.json").read_text(encoding="utf-8"))
    return read


def chosen(dataset: str, arm: str, name: str) -> Baseline:
    """An arm with what was chosen for it on a slice of the targets."""
    return replace(QUESTIONS[dataset].arms[arm].base, **recorded(dataset)["arms"][arm]["chosen"][name])


def tuning(dataset: str, arm: str, name: str) -> Tuning:
    """The record of the choice, as an arm declares it."""
    all_of_them = recorded(dataset)
    tried = all_of_them["arms"][arm]
    return Tuning(
        space={field: tuple(values) for field, values in tried["space"].items()},
        trials=len(tried["trials"]),
        judged_on=all_of_them["judged_on"],
        chosen=tried["chosen"][name],
    )
