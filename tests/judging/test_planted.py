"""The command that plants a difference says the direction that made-up samples have, and none where they have none."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

import remeasure.judging.planted as planted
from remeasure.judging.planted import CPU, LESS, MORE, Trial, Work, case_of, judge, record, summary, trial
from remeasure.records.record import TWIN_SUFFIX, Record
from remeasure.running.blocks import LOOKS

WORK = Work(steps=1000, effect=1.10, rounds=10, seed=0)
TWIN = LESS + TWIN_SUFFIX


def block(work: Work, noise: float = 0.02, twin: float = 1.0) -> dict[str, Any]:
    """What a process gives whose rounds take as long as they have steps, but for noise (sd of a logarithm)."""
    rng = np.random.default_rng(work.seed)
    levels = {LESS: 0.01, MORE: 0.01 * work.effect, TWIN: 0.01 * twin}
    samples = {
        arm: [float(level * np.exp(noise * x)) for x in rng.standard_normal(work.rounds)]
        for arm, level in levels.items()
    }
    return {"samples": {CPU.name: samples}, "order": [list(levels)] * work.rounds, "twin_of": LESS}


def records(work: Work, count: int = 8, **made: float) -> list[Record]:
    each = [replace(work, seed=seed) for seed in range(count)]
    return [record(one, block(one, **made)) for one in each]


def found(work: Work, **made: Any) -> Trial:
    return Trial(work.effect, judge(case_of(work), records(work, **made)), 4.0, 20.0, 3.0)


@pytest.mark.parametrize(("effect", "direction"), [(1.10, -1), (1 / 1.10, 1)])
def test_a_planted_difference_is_found_in_its_direction(effect: float, direction: int) -> None:
    one = found(replace(WORK, effect=effect))
    assert one.found.direction == direction
    assert one.right
    assert one.found.too_wide == ()
    assert one.found.ratio.lo <= 1 / effect <= one.found.ratio.hi


def test_two_arms_that_do_the_same_give_no_direction() -> None:
    one = found(replace(WORK, effect=1.0))
    assert one.found.word == "inconclusive"
    assert one.found.direction == 0
    assert not one.right


@pytest.mark.parametrize("made", [{"twin": 1.10}, {"noise": 0.4}])
def test_no_direction_is_said_against_an_a_a_control_that_is_biased_or_too_wide(
    made: dict[str, float],
) -> None:
    one = found(replace(WORK, effect=2.0), **made)
    assert not one.found.guard.ok
    assert one.found.too_wide
    assert one.found.direction == 0


def test_too_few_processes_give_no_direction() -> None:
    assert found(WORK, count=4).found.direction == 0
    assert found(WORK, count=1).found.direction == 0


def trial_of(monkeypatch: pytest.MonkeyPatch, work: Work, budget_s: float = 60.0, **made: float) -> Trial:
    """A trial whose processes are made up."""

    def run(command: Sequence[str], **options: Any) -> str:
        return json.dumps(block(Work(**json.loads(command[-1])), **made))

    monkeypatch.setattr(subprocess, "check_output", run)
    return trial(work, budget_s)


def test_a_trial_adds_processes_up_to_the_next_look_while_it_is_too_wide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = [trial_of(monkeypatch, WORK, noise=noise).found.ratio.n for noise in (0.02, 0.12, 1.0)]
    assert counts == [LOOKS[0], LOOKS[2], LOOKS[3]]


def test_a_trial_whose_time_is_up_judges_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def run(command: Sequence[str], timeout: float, **options: Any) -> str:
        asked.append(timeout)
        if len(asked) > 6:
            raise subprocess.TimeoutExpired(command, timeout)
        return json.dumps(block(Work(**json.loads(command[-1]))))

    monkeypatch.setattr(subprocess, "check_output", run)
    assert trial(WORK, 60.0).found.ratio.n == 6
    assert len(asked) == 7
    assert max(asked) <= 60.0
    with pytest.raises(SystemExit, match="--budget"):
        trial(WORK, 60.0)


def test_every_process_of_a_trial_has_a_seed_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds: list[int] = []

    def run(command: Sequence[str], **options: Any) -> str:
        own = Work(**json.loads(command[-1]))
        seeds.append(own.seed)
        return json.dumps(block(own, noise=1.0))

    monkeypatch.setattr(subprocess, "check_output", run)
    trial(replace(WORK, seed=100), 60.0)
    assert seeds == list(range(100, 100 + LOOKS[-1]))


def test_the_table_counts_directions_false_alarms_and_refusals() -> None:
    right, wrong = found(WORK), replace(found(WORK), effect=1 / 1.10)
    refused = found(WORK, twin=1.10), found(WORK, noise=0.4)
    rows = summary([right, *refused])
    assert rows["clear, as planted"] == "1 of 3"
    assert rows["false alarms"] == "0 of 3"
    assert rows["invalid: A/A biased"] == "1 of 3"
    assert rows["invalid: A/A too wide"] == "1 of 3"
    assert summary([wrong])["false alarms"] == "1 of 1"
    same = replace(found(WORK), effect=1.0)
    assert summary([same])["false alarms"] == "1 of 1"
    assert summary([same])["intervals that cover"] == "0 of 1"


def test_a_process_prints_its_samples_as_json() -> None:
    work = Work(steps=100, effect=1.10, rounds=3, seed=5)
    command = [sys.executable, "-m", planted.__name__, "--process", json.dumps(asdict(work))]
    printed = json.loads(subprocess.check_output(command))
    made = record(work, printed)
    assert made.twin_of == LESS
    assert len(made.order) == 3
    assert {arm: len(values) for arm, values in made.samples[CPU.name].items()} == {LESS: 3, MORE: 3, TWIN: 3}
    assert all(value > 0 for values in made.samples[CPU.name].values() for value in values)
    assert made.arms[MORE].config == {"steps": 110}


def test_busy_loops_end_whatever_happens_beside_them() -> None:
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def noted(*given: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*given, **options))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", noted)
        with pytest.raises(ZeroDivisionError), planted.beside(2):
            assert [loop.poll() for loop in started] == [None, None]
            raise ZeroDivisionError
    assert [loop.poll() is not None for loop in started] == [True, True]
