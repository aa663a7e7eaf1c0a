"""The sweep tries what it says, grows grids at their edge, and writes what the arms then read."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from remeasure.datasets.uci_online_retail.loader import load
from remeasure.datasets.uci_online_retail.request import Request
from remeasure.impls.gr4ad import tuned
from remeasure.impls.gr4ad.baselines import tuning
from remeasure.impls.gr4ad.baselines.arms import QUESTIONS, Grid, Question
from remeasure.impls.gr4ad.baselines.config import Baseline, Neighbours, Popularity, Sasrec
from remeasure.impls.gr4ad.baselines.tuning import Sweep, tune, wider, write

SHOP = load(Request(customers=100, products=40), None)
WRITTEN = [name for name in QUESTIONS if (tuned.FOLDER / f"{name}.json").exists()]


@pytest.mark.parametrize(
    ("field", "values", "best", "further"),
    [
        ("text", [0.1, 0.3, 1.0], 0.3, None),
        ("text", [0.1, 0.3, 0.9], 0.9, 2.7),
        ("text", [0.1, 0.3, 0.9], 0.1, 0.033),
        ("text", [0.0, 0.3], 0.0, None),
        ("decay", [0.5, 0.8], 0.8, 1.0),
        ("decay", [0.5, 1.0], 1.0, None),
        ("reach", [1, 2, 4], 4, 8),
        ("reach", [1, 2, 4], 1, None),
        ("half_life", [None, 4, 8], None, None),
        ("half_life", [None, 4, 8], 4, 2),
        ("by", ["events", "users"], "users", None),
    ],
)
def test_a_grid_grows_by_one_step_where_the_best_is_its_last_value(
    field: str, values: list[Any], best: Any, further: float | None
) -> None:
    assert wider(field, values, best) == further


def sweep_over(monkeypatch: pytest.MonkeyPatch, grid: Grid, score: Any) -> dict[str, Any]:
    """What a sweep finds where a configuration's score is a given function."""
    monkeypatch.setattr(
        Sweep, "_try", lambda self, config: {**self._fields(config, None), "all VR@50": score(config)}
    )
    question = Question(("all",), "VR@50", {})
    return Sweep(SHOP.validation, question, grid, lambda line: None).run()


def test_a_sweep_walks_to_a_best_value_beyond_its_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid(Neighbours(text=1.0), {"text": (1.0, 2.0), "decay": (0.3, 0.5, 0.7)})
    found = sweep_over(monkeypatch, grid, lambda config: -abs(config.text - 8) - abs(config.decay - 0.5))
    assert found["chosen"] == {"all": {"text": 8.0, "decay": 0.5}}
    assert found["space"]["text"] == [1.0, 2.0, 4.0, 8.0, 16.0]
    assert len(found["trials"]) == len({json.dumps(trial) for trial in found["trials"]})


def test_a_field_that_changes_nothing_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = sweep_over(monkeypatch, Grid(Neighbours(), {"text": (0.3, 1.0)}), lambda config: 1.0)
    assert found["space"] == {"text": [0.3, 1.0]} and found["chosen"] == {"all": {"text": 0.3}}


def test_trials_are_judged_in_every_slice_on_the_validation_rows_and_sasrec_by_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = Question(
        ("new", "all"),
        "VR@50",
        {
            "popularity": Grid(Popularity(), {"by": ("events", "users")}),
            "sasrec": Grid(Sasrec(size=8, dim=8, epochs=3), {"dropout": (0.1, 0.3)}, passes=1),
        },
    )
    monkeypatch.setitem(QUESTIONS, "shop", small)  # type: ignore[arg-type]
    found = tune("shop", replace(SHOP, test=None), report=lambda line: None)  # type: ignore[arg-type]
    trial = found["arms"]["popularity"]["trials"][0]
    assert {f"{name} {key}" for name in small.slices for key in ("HR@10", "NDCG@10", "VR@50")} <= set(trial)
    sasrec = found["arms"]["sasrec"]
    curve = sasrec["trials"][0]["all VR@50"]
    assert len(curve) == 3
    best = max(value for trial in sasrec["trials"] for value in trial["all VR@50"])
    assert sasrec["score"]["all"] == best and 1 <= sasrec["chosen"]["all"]["epochs"] <= 3


def test_training_ends_where_no_slice_has_become_better_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.1, 0.3, *[0.2] * 50])
    monkeypatch.setattr(tuning, "quality", lambda *_: {"all VR@50": next(scores)})
    grid = Grid(Sasrec(size=8, dim=8, epochs=40), {"dropout": (0.3,)})
    found = Sweep(SHOP.validation, Question(("all",), "VR@50", {}), grid, lambda line: None).run()
    assert len(found["trials"][0]["all VR@50"]) == 2 + tuning.PATIENCE
    assert found["chosen"]["all"]["epochs"] == 2


def test_writing_some_arms_keeps_the_others_and_a_trial_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "shop.json"
    write({"seed": 0, "arms": {"first": {"trials": [{"text": 1, "all VR@50": 0.5}]}}}, path)
    write({"seed": 0, "arms": {"second": {"trials": []}}}, path)
    assert list(json.loads(path.read_text())["arms"]) == ["first", "second"]
    assert '{ "text": 1, "all VR@50": 0.5 }' in path.read_text()


@pytest.mark.parametrize("dataset", WRITTEN)
def test_what_was_chosen_is_the_best_trial_of_the_record_and_stands_inside_its_grid(dataset: str) -> None:
    question = QUESTIONS[dataset]
    record = tuned.recorded(dataset)
    assert set(record["arms"]) <= set(question.arms)
    for arm, tried in record["arms"].items():
        for name in question.slices:
            scores = [trial[f"{name} {question.metric}"] for trial in tried["trials"]]
            best = [max(score) if isinstance(score, list) else score for score in scores]
            config: Baseline = tuned.chosen(dataset, arm, name)
            assert tried["score"][name] == max(best)
            assert set(tried["chosen"][name]) <= {field.name for field in fields(config)}
            if isinstance(config, Sasrec):
                assert config.epochs < question.arms[arm].base.epochs  # type: ignore[union-attr]
            assert tuned.tuning(dataset, arm, name).trials == len(scores)
            for field, values in tried["space"].items():
                assert wider(field, values, tried["chosen"][name][field]) is None, (arm, name, field)
