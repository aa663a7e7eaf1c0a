"""The predictions file: complete, reproducible to the byte, inside its own rules, and blind to what it may not see."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from remeasure.contracts import Workspace
from remeasure.datasets.ondevice.loader import Request, load
from remeasure.errors import UserError
from remeasure.impls.flexserve import commands, figures
from remeasure.impls.flexserve.config import System
from remeasure.impls.flexserve.dispatch import Curves, Dispatch
from remeasure.impls.flexserve.figures import LEGEND, SYSTEMS, Setting, ablation, drawn, nominal, predicted
from remeasure.impls.flexserve.predictions import (
    CHECKED,
    HEADER,
    Table,
    errors,
    lines,
    model_error,
    nominal_values,
    sample,
    table,
    write,
)
from remeasure.impls.flexserve.sim.calibration import read
from remeasure.impls.flexserve.sim.costs import Costs
from remeasure.impls.flexserve.sim.timeline import prefill
from remeasure.impls.flexserve.trivial import trivial_rule

COMMITTED = Path(__file__).parents[2] / "results" / "releases" / "flexserve_predictions.csv"
ROWS = {7: 132, 8: 48, 9: 30, 10: 40, 11: 18}
FROZEN = "b541f7c1b157d0b4ce176c33873b96c1ad9c6157cc3cc188243e61f13d292f85"
"""sha256 of the file for four requests a stream and two draws. It may change only with the model or a declaration."""


@pytest.fixture(scope="module")
def setting() -> Setting:
    return nominal(load(Request(requests=4), None))


@pytest.fixture(scope="module")
def small(setting: Setting) -> Table:
    return table(setting, draws=2, seed=7)


def test_every_cell_of_the_five_figures_is_there_once(small: Table) -> None:
    assert Counter(cell.figure for cell in small.cells) == ROWS
    assert len({(c.figure, c.subject, c.arm, c.x) for c in small.cells}) == sum(ROWS.values()) == 268


def test_the_file_has_the_agreed_header_and_rows(small: Table, setting: Setting, tmp_path: Path) -> None:
    first = write(small, setting, tmp_path)[0]
    with first.open(newline="") as file:
        rows = list(csv.reader(file))
    assert tuple(rows[0]) == HEADER
    assert ",".join(HEADER) == "figure,subject,arm,x,value,unit,lo,hi,assumptions"
    assert len(rows) == 1 + 268
    for row in rows[1:]:
        value, low, high = float(row[4]), float(row[6]), float(row[7])
        assert 0 < low <= value <= high
        codes, expected = row[8].split("; ")
        assert set(codes.split()) <= set(LEGEND)
        assert expected.startswith(f"expected error of figure {row[0]}: ") and expected.endswith("%")


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(setting: Setting, small: Table) -> None:
    assert lines(table(setting, draws=2, seed=7)) == lines(small)
    assert lines(table(setting, draws=2, seed=8)) != lines(small)


def test_the_file_for_few_draws_is_frozen(small: Table, setting: Setting, tmp_path: Path) -> None:
    paths = write(small, setting, tmp_path)
    assert hashlib.sha256(paths[0].read_bytes()).hexdigest() == FROZEN


def test_more_draws_only_add_rows(setting: Setting, small: Table) -> None:
    one = table(setting, draws=1, seed=7)
    assert np.array_equal(one.draws, small.draws[:1])


def test_values_do_not_depend_on_the_draws(setting: Setting, small: Table) -> None:
    assert np.array_equal(nominal_values(setting)[1], small.values)


def test_relative_performance_is_a_share(setting: Setting, small: Table) -> None:
    relative = np.array([cell.figure == 10 for cell in small.cells])
    assert (small.values[relative] <= 1).all() and (small.values[relative] > 0).all()
    ttft = np.array([cell.figure == 10 and cell.subject == "TTFT" for cell in small.cells])
    assert (small.draws[:, ttft] <= 1).all()


def test_pressure_is_the_cold_timeline(setting: Setting) -> None:
    cells = {(c.subject, c.arm, c.x): v for c, v in figures.pressure(setting)}
    flex = replace(SYSTEMS["FlexServe"], cache="none", prefetch=False)
    assert (
        cells["Llama3.2-3B", "FlexServe", "3"] == prefill(flex, "Llama3.2-3B", 128, setting.costs, 3.0).ttft_s
    )
    contiguous = [cells["Llama3.1-8B", "Strawman-OPT", str(gb)] for gb in range(11)]
    assert contiguous == sorted(contiguous)


def falls_step_by_step(cells: list[tuple[figures.Cell, float]]) -> bool:
    """Every part of FlexServe that is added shortens the TTFT or leaves it."""
    seconds = [value for _, value in cells]
    return all(
        later <= earlier
        for start in range(0, len(seconds), 6)
        for earlier, later in zip(seconds[start : start + 5], seconds[start + 1 : start + 6], strict=True)
    )


@pytest.mark.parametrize("seed", range(5))
def test_each_step_of_the_ablation_helps_on_every_device(setting: Setting, seed: int) -> None:
    assert falls_step_by_step(list(ablation(drawn(setting, np.random.default_rng(seed)))))


def test_a_step_that_hurts_is_noticed(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: without decryption the cache is forgotten."""

    def forgetful(system: System, *request: Any, cached_parts: int = 0) -> Any:
        return prefill(system, *request, cached_parts=0 if system.crypto == "inline" else cached_parts)

    monkeypatch.setattr(figures, "prefill", forgetful)
    assert not falls_step_by_step(list(ablation(setting)))


def recosted(setting: Setting, costs: Costs, dispatch: Dispatch) -> list[float]:
    first = setting.data.streams[0]
    curves = Curves(costs, first.shortest_tokens, first.longest_tokens)
    return [dispatch.mean_ttft_s(s, SYSTEMS["FlexServe"], curves, 1.0) for s in setting.data.streams]


def test_states_of_the_nominal_device_serve_other_devices(setting: Setting) -> None:
    """Noting states and recosting them comes near a run of the server on the other device, cached layers included."""
    pause = setting.assumed.value("several-models.pause_s")
    for seed in range(2):
        costs = Costs(setting.costs.calibration.drawn(np.random.default_rng(seed)))
        truth = Dispatch.of(setting.data, (SYSTEMS["FlexServe"],), costs, pause)
        want = np.array(recosted(setting, costs, truth))
        have = np.array(recosted(setting, costs, setting.dispatch))
        assert np.abs(have / want - 1).max() < 0.06


def test_on_the_nominal_device_recosting_is_the_server(setting: Setting) -> None:
    want = [
        setting.dispatch.served[s.group.name, s.lengths.name, SYSTEMS["FlexServe"]].mean_ttft_s
        for s in setting.data.streams
    ]
    assert recosted(setting, setting.costs, setting.dispatch) == pytest.approx(want, rel=1e-12)


def test_figures_that_only_check_the_fit_change_no_value(setting: Setting) -> None:
    """The hold-out rule: bars marked as a check, and what version 1 said, enter no prediction."""
    calibration = setting.costs.calibration
    # Optional ones anchor the application model, and the cells that rest on them say so.
    blind = [id for id, e in calibration.entries.items() if not (e.enters or e.use.startswith("optional"))]
    assert any("Strawman-OPT" in id for id in blind) and any("NW-Base" in id for id in blind)
    changed = calibration
    for id in blind:
        number = changed.entry(id).number
        changed = changed.with_number(
            id, tuple(2 * n for n in number) if isinstance(number, tuple) else 2 * number
        )
    other = replace(setting, costs=Costs(changed))
    assert [v for _, v in predicted(other)] == [v for _, v in predicted(setting)]


def test_a_number_that_does_enter_changes_values(setting: Setting) -> None:
    """The same check must notice a number that is used."""
    slower = setting.costs.calibration.with_number("table1.load_8GiB", 9999.0)
    other = replace(setting, costs=Costs(slower))
    assert [v for _, v in predicted(other)] != [v for _, v in predicted(setting)]


def test_no_system_counts_as_better_than_the_one_that_is_only_checked() -> None:
    known = errors(read())
    for name in SYSTEMS:
        assert known[name, True] >= known[CHECKED, True]
        assert known[name, False] >= known[name, True]


def test_points_of_a_series_are_wrong_together(small: Table, setting: Setting) -> None:
    factors = model_error(small.cells, setting, 4, 1)
    first = [
        i
        for i, c in enumerate(small.cells)
        if (c.figure, c.subject, c.arm) == (7, "Llama3.1-8B", "FlexServe")
    ]
    other = [
        i for i, c in enumerate(small.cells) if (c.figure, c.subject, c.arm) == (7, "Llama3.1-8B", "Strawman")
    ]
    assert (factors[:, first] == factors[:, first[:1]]).all()
    assert (factors[:, other[0]] != factors[:, first[0]]).all()


def test_intervals_hold_the_models_own_error(setting: Setting, small: Table) -> None:
    """Draws without it are narrower."""
    without = sample(setting, 2, 7)
    seconds = np.array([cell.figure == 7 for cell in small.cells])
    assert np.log(small.draws[:, seconds]).std() != np.log(without[:, seconds]).std()
    assert Table(small.cells, small.values, without).expected_error(7) != small.expected_error(7)


def test_the_trivial_rule_says_something_for_every_cell(setting: Setting, small: Table) -> None:
    said = {(c.figure, c.subject, c.arm, c.x): trivial_rule(c, setting) for c in small.cells}
    assert all(value > 0 for value in said.values())
    # It knows no pressure, and one ratio for all.
    assert said[7, "Llama3.1-8B", "Strawman", "0"] == said[7, "Llama3.1-8B", "Strawman", "10"]
    ratios = {
        round(said[f, s, "Strawman", x] / said[f, s, "FlexServe", x], 9)
        for f, s, a, x in said
        if f < 10 and a == "FlexServe"
    }
    assert len(ratios) == 1
    assert said[11, "Llama3.1-8B", "CMA", ""] / said[11, "Llama3.1-8B", "+Pipe", ""] == pytest.approx(
        ratios.pop()
    )
    assert {v for (f, *_), v in said.items() if f == 10} == {1.0}


def test_the_command_writes_three_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "Request", lambda: Request(requests=2))
    told: list[str] = []
    space = Workspace(
        lambda name, request: load(request, None), tmp_path / "out", {"draws": "1", "seed": "3"}, told.append
    )
    command = next(command for command in commands.COMMANDS if command.name == "predictions")
    paths = command.run(space)
    assert [path.name for path in paths] == [
        "flexserve_predictions.csv",
        "flexserve_trivial_rule.csv",
        "flexserve_predictions_legend.csv",
    ]
    counts = [len(path.read_text().splitlines()) for path in paths[:2]]
    assert counts == [269, 269]
    assert all("\r" not in path.read_text() for path in paths)


@pytest.mark.parametrize("wrong", [{"draws": "0"}, {"draws": "many"}, {"seed": "-1"}, {"speed": "1"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, str], tmp_path: Path) -> None:
    space = Workspace(lambda name, request: load(request, None), tmp_path, wrong, lambda line: None)
    with pytest.raises(UserError):
        commands.COMMANDS[0].run(space)


def test_the_committed_file_is_what_the_code_predicts() -> None:
    """Values only; intervals cost minutes."""
    if not COMMITTED.exists():
        pytest.skip("the predictions are not committed yet")
    with COMMITTED.open(newline="") as file:
        committed = list(csv.DictReader(file))
    cells, values = nominal_values(nominal(load(Request(), None)))
    want = [
        (str(c.figure), c.subject, c.arm, c.x, f"{v:.3f}", c.unit) for c, v in zip(cells, values, strict=True)
    ]
    assert [tuple(row[key] for key in HEADER[:6]) for row in committed] == want
