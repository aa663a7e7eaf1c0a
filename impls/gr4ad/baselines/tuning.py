"""Choosing a baseline's configuration on the validation rows, with every trial on record.

Fields are swept one after another, each with the best of the others so far, in as many passes as the grid says. Where
the best value is the last of its values, and not the last by nature (`LIMITS`), the values grow by one step until it is
not.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from remeasure.datasets.common.interactions import Interactions, Split

from ..measures import Slice, judge, kept
from .arms import LIMITS, QUESTIONS, Grid, Question
from .config import Baseline, Sasrec
from .fitting import fit
from .scoring import Scorer

SEED = 0
LENGTH = 50
"""Places of the judged lists."""
PATIENCE = 5
"""Epochs without a better score, in any slice, after which SASRec's training ends."""
WIDER = 4
"""The most steps by which a grid grows at either end."""

Report = Callable[[str], None]
Trial = dict[str, Any]


def tune(
    dataset: str, data: Interactions, arms: tuple[str, ...] = (), report: Report = print
) -> dict[str, Any]:
    """Judge all trials of a data set's arms, or of those named; what is returned is the file of its trials."""
    question, split = QUESTIONS[dataset], data.validation
    return {
        "data": data.label,
        "judged_on": f"{question.metric} on {len(split.rows):,} validation rows of {data.label}",
        "seed": SEED,
        "arms": {
            name: Sweep(split, question, grid, partial(_told, report, name)).run()
            for name, grid in question.arms.items()
            if not arms or name in arms
        },
    }


def _told(report: Report, name: str, line: str) -> None:
    report(f"{name}: {line}")


def write(trials: dict[str, Any], path: Path) -> None:
    """Write a file of trials; arms that it has and `trials` lacks are kept."""
    before = json.loads(path.read_text(encoding="utf-8"))["arms"] if path.exists() else {}
    text = json.dumps({**trials, "arms": {**before, **trials["arms"]}}, indent=1, ensure_ascii=False)
    # What holds nothing but numbers and words stands on one line: a trial, a curve.
    text = re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda found: " ".join(found[0].split()), text)
    path.write_text(text + "\n", encoding="utf-8")


class Sweep:
    """The trials of one arm."""

    def __init__(self, split: Split, question: Question, grid: Grid, report: Report):
        self.split, self.question, self.report = split, question, report
        self.base, self.passes = grid.base, grid.passes
        self.space = {field: list(values) for field, values in grid.space.items()}
        self.trials: dict[Baseline, Trial] = {}

    def run(self) -> dict[str, Any]:
        for name in self.question.slices:
            self._sweep(name)
        chosen, score = {}, {}
        for name in self.question.slices:
            # A slice may choose what was tried for another one; the first of equals.
            score[name], _, best, epochs = max(
                (self._score(config, name)[0], -place, config, self._score(config, name)[1])
                for place, config in enumerate(self.trials)
            )
            chosen[name] = self._fields(best, epochs)
        return {"space": self.space, "trials": list(self.trials.values()), "chosen": chosen, "score": score}

    def _sweep(self, name: str) -> None:
        """Try what may be best in a slice."""
        best = self.base
        for field, values in list(self.space.items()) * self.passes:
            for _ in range(2 * WIDER + 1):
                scores = {value: self._score(replace(best, **{field: value}), name)[0] for value in values}
                highest = max(scores.values())
                if min(scores.values()) == highest:
                    break  # The field changes nothing here: no value is better, and no wider grid is wanted.
                best = replace(best, **{field: max(scores, key=scores.__getitem__)})
                further = wider(field, values, getattr(best, field))
                if further is None:
                    break
                values[:] = sorted([*values, further], key=lambda value: -np.inf if value is None else value)

    def _score(self, config: Baseline, name: str) -> tuple[float, int | None]:
        """The score of a configuration in a slice; of SASRec at its best epoch, and which that is."""
        if config not in self.trials:
            self.trials[config] = self._try(config)
            self.report(json.dumps(self.trials[config]))
        values = self.trials[config][f"{name} {self.question.metric}"]
        if isinstance(values, list):
            return max(values), 1 + int(np.argmax(values))
        return values, None

    def _try(self, config: Baseline) -> Trial:
        began = time.process_time()
        split, generator = self.split, np.random.default_rng(SEED)
        if isinstance(config, Sasrec):
            from . import sasrec

            curve: list[Mapping[str, float]] = []

            def watch(epoch: int, model: Scorer) -> bool:
                curve.append(quality(model, split, self.question.slices))
                keys = [f"{name} {self.question.metric}" for name in self.question.slices]
                return all(
                    epoch - 1 - int(np.argmax([point[key] for point in curve])) >= PATIENCE for key in keys
                )

            sasrec.fit(split.train, split.items, config, generator, watch)
            found: Trial = {key: [point[key] for point in curve] for key in curve[0]}
        else:
            found = dict(
                quality(fit(split.train, split.items, config, generator), split, self.question.slices)
            )
        return {**self._fields(config, None), **found, "CPU s": round(time.process_time() - began, 1)}

    def _fields(self, config: Baseline, epochs: int | None) -> dict[str, Any]:
        chosen = {field: value for field, value in asdict(config).items() if field in self.space}
        return chosen if epochs is None else {**chosen, "epochs": epochs}


def wider(field: str, values: list[Any], best: Any) -> float | None:
    """The next value beyond an end of the grid where the best one stands; None if it does not, or may not."""
    numbers = [value for value in values if isinstance(value, int | float)]
    low, high = LIMITS.get(field, (0.0, float("inf")))
    if len(numbers) < 2 or best not in (numbers[0], numbers[-1]) or best in (low, high):
        return None
    end, inner = (numbers[0], numbers[1]) if best == numbers[0] else (numbers[-1], numbers[-2])
    further = min(max(end * end / inner if inner else low, low), high)
    further = round(further) if all(isinstance(value, int) for value in numbers) else float(f"{further:.2g}")
    return None if further in numbers or len(values) > 5 + 2 * WIDER else further


def quality(model: Scorer, split: Split, slices: tuple[str, ...]) -> dict[str, float]:
    """HR@10, NDCG@10 and VR@50 of a model in every slice, over all rows."""
    found: dict[str, float] = {}
    for name in slices:
        ranked, _ = model.top(split.rows, LENGTH, exclude_seen=name == "new")
        judged = judge(ranked, split.rows, kept(split, cast(Slice, name)), split.capped())
        measures = {"HR@10": judged.hits(10), "NDCG@10": judged.ndcg(10), "VR@50": judged.value_recall(50)}
        found |= {f"{name} {key}": round(ratio.overall(), 5) for key, ratio in measures.items()}
    return found
