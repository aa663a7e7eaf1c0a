"""The picture's numbers: a column each, plain enough to be stored."""

from __future__ import annotations

import json

import numpy as np
from blockllm.study_models import chains, text

from remeasure.impls.blockllm.study.decision import Thresholds, decide
from remeasure.impls.blockllm.study.equivalence import cross_layer, measure, same_place
from remeasure.impls.blockllm.study.figures import correlations, cosine_table, scatter, sweep_table
from remeasure.impls.blockllm.study.joint import sweep

FAMILY = chains("base", "lora a", "bitfit")
TEXTS = {name: text(seed=number) for number, name in enumerate(FAMILY)}
SWAPS = [*same_place(FAMILY), *cross_layer(FAMILY, 6, seed=0)]
ROWS = measure(FAMILY, SWAPS, TEXTS)
LIMIT = Thresholds(float(np.median([row.kl for row in ROWS])), 0.0)
TECHNIQUES = {"base": "base", "lora a": "lora", "bitfit": "bitfit"}


def test_every_swap_is_a_point() -> None:
    allowed = decide(ROWS, LIMIT)
    probes = [np.full(3, 0.5) for _ in ROWS]
    found = scatter(ROWS, allowed, TECHNIQUES, probes)
    assert {len(column) for column in found.values()} == {len(SWAPS)}
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["swap"][0] == "base attn 0 ← lora a" and found["technique"][0] == "base ← lora"
    assert found["KL of probes"] == [0.5] * len(SWAPS)
    assert "→" not in found["swap"][-1] and found["same layer"][-6:] == [False] * 6
    assert sum(found["allowed"]) == len(allowed)
    for number, row in enumerate(ROWS):
        assert found["KL"][number] == row.kl and found["agreement"][number] == row.agree
        blind = "bitfit" in (row.swap.original, row.swap.substitute) and row.swap.same_layer
        assert not found["matrices equal"][number] or blind or row.swap.place.kind == "ffn"
    assert "KL of probes" not in scatter(ROWS, allowed, TECHNIQUES)


def test_thresholds_of_the_cosine_are_held_to_what_was_decided() -> None:
    table = cosine_table(ROWS, LIMIT, cosines=(-1, 0.5, 1.1))
    allowed = len(decide(ROWS, LIMIT))
    assert table[0]["accepted"] == len(ROWS) and table[0]["wrongly"] == len(ROWS) - allowed
    assert table[0]["worst KL"] == max(row.kl for row in ROWS)
    refused = [row.agree for row in ROWS if row.swap not in decide(ROWS, LIMIT)]
    assert table[0]["least agreement"] == min(refused)
    assert table[2] == {
        "cosine": 1.1,
        "accepted": 0,
        "wrongly": 0,
        "missed": allowed,
        "worst": "",
        "worst KL": 0.0,
        "least agreement": 1.0,
    }
    assert json.dumps(table)


def test_a_sweep_is_a_table_with_a_row_for_each_pair_of_thresholds() -> None:
    swept = sweep(FAMILY, ROWS, TEXTS, (Thresholds(0, 1), LIMIT))
    table = sweep_table(swept, len(ROWS))
    assert table[0]["allowed"] == 0 and table[0]["joint KL"] == 0 and table[0]["made"] == 0
    assert table[1]["allowed share"] == len(swept[1].allowed) / len(ROWS)
    assert table[1]["joint KL"] == swept[1].kl and table[1]["sum of KL"] == max(swept[1].summed.values())
    assert json.dumps(table)


def test_what_cannot_be_ranked_is_nothing() -> None:
    assert correlations(ROWS[:1]) == {"same layer": None, "same layer, matrices differ": None, "all": None}
    assert all(-1 <= value <= 1 for value in correlations(ROWS).values() if value is not None)
