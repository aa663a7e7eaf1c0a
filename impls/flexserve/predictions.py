"""The predictions file: every cell of June's Figures 7 to 11 with an interval, made before any of them was compared.

Interval = 2.5 and 97.5 percentiles of seeded draws. A draw takes the calibration inside its tolerances, assumptions and
prompt lengths inside their ranges, and then multiplies each series by what the model is known to be wrong by: the mean
error of Figure 5 (of models left out where a model has no bars), as a lognormal factor.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import pi, sqrt
from pathlib import Path

import numpy as np

from .figures import LEGEND, Cell, Setting, drawn, predicted
from .sim.calibration import Calibration
from .sim.fit import figure5, left_out
from .sim.rows import Row, mean_error
from .trivial import trivial_rule

DRAWS, SEED = 1000, 2022
HEADER = ("figure", "subject", "arm", "x", "value", "unit", "lo", "hi", "assumptions")
PERCENTILES = (2.5, 97.5)
NORMAL_OVER_MEAN_ERROR = sqrt(pi / 2)
"""Standard deviation of a normal error over its mean absolute size."""
CHECKED = "NW-Base"
"""The system of Figure 5 none of whose bars enter the model, so that its error is an error of the model."""


@dataclass(frozen=True, eq=False)
class Table:
    """All cells with their values, and draws of them with the model's own error, float64 [draws, cells]."""

    cells: tuple[Cell, ...]
    values: np.ndarray
    draws: np.ndarray

    @property
    def interval(self) -> np.ndarray:
        """float64 [2, cells]; widened to the value where the draws lie on one side of it."""
        low, high = np.percentile(self.draws, PERCENTILES, axis=0)
        return np.stack([np.minimum(low, self.values), np.maximum(high, self.values)])

    def expected_error(self, figure: int) -> float:
        """Mean relative distance between draw and value over a figure's cells: how wrong the figure should be."""
        mine = np.array([cell.figure == figure for cell in self.cells])
        return float(np.abs(self.draws[:, mine] / self.values[mine] - 1).mean())


def table(
    setting: Setting, draws: int = DRAWS, seed: int = SEED, report: Callable[[str], None] = lambda line: None
) -> Table:
    """Values at the nominal setting and seeded draws around it; `report` is told how far it is."""
    cells, values = nominal_values(setting)
    rows = sample(setting, draws, seed, report) * model_error(cells, setting, draws, seed)
    shares = np.array([cell.figure == 10 and cell.subject == "TTFT" for cell in cells])
    # Nothing beats the TTFT of a model that is all in memory.
    rows[:, shares] = np.minimum(1, rows[:, shares])
    return Table(cells, values, rows)


def nominal_values(setting: Setting) -> tuple[tuple[Cell, ...], np.ndarray]:
    """The cells and their values, float64 [cells], s or relative."""
    cells, values = zip(*predicted(setting), strict=True)
    return cells, np.array(values)


def sample(
    setting: Setting, draws: int, seed: int, report: Callable[[str], None] = lambda line: None
) -> np.ndarray:
    """Cells float64 [draws, cells] with everything drawn; the model is taken at its word, so ratios may be formed."""
    rows = []
    for index in range(draws):
        if index and index % 100 == 0:
            report(f"{index} of {draws} draws")
        here = drawn(setting, np.random.default_rng([seed, index]))
        rows.append([value for _, value in predicted(here)])
    return np.array(rows)


def model_error(cells: Sequence[Cell], setting: Setting, draws: int, seed: int) -> np.ndarray:
    """Factors float64 [draws, cells]: one lognormal factor for a series, so all its points move together."""
    sigma = errors(setting.costs.calibration)
    series = {(cell.figure, cell.subject, cell.arm): cell for cell in cells}
    order = list(series)
    spread = np.array([_sigma(cell, sigma, setting) for cell in series.values()])
    # A stream of its own (the draws have the seeds [seed, 0], [seed, 1], …), so that more draws only add rows.
    normal = np.random.default_rng([seed, 0, 1]).standard_normal((draws, len(order)))
    column = [order.index((cell.figure, cell.subject, cell.arm)) for cell in cells]
    return np.asarray(np.exp(spread * normal)[:, column])


def errors(calibration: Calibration) -> dict[tuple[str, bool], float]:
    """(system, whether the model has bars in Figure 5) → mean relative error expected of a TTFT.

    Where bars are inputs, being near them proves nothing: no system counts as better than the one that is only checked.
    """

    def of(rows: Iterable[Row]) -> dict[str, float]:
        rows = list(rows)
        return {name: mean_error([r for r in rows if r.system == name]) for name in {r.system for r in rows}}

    seen, unseen = of(figure5(calibration)), of(left_out(calibration))
    known = {name: max(error, seen[CHECKED]) for name, error in seen.items()}
    return {(name, True): error for name, error in known.items()} | {
        (name, False): max(error, known[name]) for name, error in unseen.items()
    }


def write(result: Table, setting: Setting, folder: Path) -> list[Path]:
    """The predictions, the trivial rule beside them and the legend, as CSV; returns their paths."""
    wanted = (
        ("flexserve_predictions.csv", HEADER, lines(result)),
        ("flexserve_trivial_rule.csv", HEADER[:6], trivial_lines(result.cells, setting)),
        ("flexserve_predictions_legend.csv", ("code", "meaning"), legend(setting)),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name, header, rows in wanted:
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([header, *rows])
    return [folder / name for name, _, _ in wanted]


def lines(result: Table) -> list[tuple[str, ...]]:
    """Rows of the predictions file, in the order of `HEADER`."""
    expected = {cell.figure: result.expected_error(cell.figure) for cell in result.cells}
    return [
        (
            *_name(cell),
            _number(value),
            cell.unit,
            _number(low),
            _number(high),
            f"{' '.join(cell.codes)}; expected error of figure {cell.figure}: {expected[cell.figure]:.0%}",
        )
        for cell, value, low, high in zip(result.cells, result.values, *result.interval, strict=True)
    ]


def trivial_lines(cells: Iterable[Cell], setting: Setting) -> list[tuple[str, ...]]:
    """What the rule without a model says for the same cells."""
    return [(*_name(cell), _number(trivial_rule(cell, setting)), cell.unit) for cell in cells]


def legend(setting: Setting) -> list[tuple[str, str]]:
    """What codes and columns mean."""
    table_of_errors = sorted(errors(setting.costs.calibration).items())
    known = ", ".join(
        f"{name} {error:.1%}" + ("" if seen else " (model without bars)")
        for (name, seen), error in table_of_errors
        if name != CHECKED
    )
    return [
        *LEGEND.items(),
        (
            "lo, hi",
            "2.5 and 97.5 percentiles of draws over tolerances, assumptions, prompt lengths, and model error",
        ),
        (
            "model error",
            f"mean relative error of a TTFT in Figure 5, as a lognormal factor on each series: {known}",
        ),
        ("expected error", "mean over a figure's cells and draws of |draw / value - 1|"),
        ("unit", "s; empty: relative performance, 1 is the application or the cached TTFT alone"),
        ("evidence", "modelled; a fixed device model, never fitted to Figures 7 to 11"),
    ]


def _sigma(cell: Cell, errors: dict[tuple[str, bool], float], setting: Setting) -> float:
    if cell.figure == 10 and cell.subject != "TTFT":
        return setting.assumed.value("applications.spread")
    system = cell.arm.split()[0]
    if cell.figure == 11:
        system = "Strawman" if cell.arm == "CMA" else "FlexServe"
    return errors[system, "U" not in cell.codes] * NORMAL_OVER_MEAN_ERROR


def _name(cell: Cell) -> tuple[str, str, str, str]:
    return str(cell.figure), cell.subject, cell.arm, cell.x


def _number(value: float) -> str:
    return f"{value:.3f}"
