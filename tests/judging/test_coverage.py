"""The coverage simulation in a reduced form, the faults that it has to find, and the committed table."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from remeasure.judging import coverage, coverage_units, estimates, kinds
from remeasure.judging.coverage_cells import Cell, Hits, Rng, intervals
from remeasure.judging.coverage_table import Row, encoded, line, markdown, read_table
from remeasure.judging.coverage_times import EACH, LOOKS, alike, by_processes, stopped, times
from remeasure.judging.coverage_units import CLUSTERS, clustered, crossed, differences, quality
from remeasure.judging.estimates import Array
from remeasure.judging.intervals import Interval

DRAWS = 1000
EVERY = coverage.cells()
REQUIRED = [cell for cell in EVERY if cell.required]
SOME = REQUIRED[::4]
"""Of each group a few."""


def name(cell: Cell) -> str:
    return f"{cell.group}: {cell.name}: {cell.what}"


def share(hits: object, draws: int = DRAWS, size: int = 100) -> float:
    return coverage.run(Cell("a test", "a cell", size, hits), draws).share  # type: ignore[arg-type]


# --- the reduced form


def test_some_cells_of_every_group_are_run() -> None:
    assert {(cell.group, cell.what) for cell in SOME} == {(cell.group, cell.what) for cell in REQUIRED}


@pytest.mark.parametrize("cell", SOME, ids=name)
def test_the_truth_is_covered_and_words_seldom_err(cell: Cell) -> None:
    row = coverage.run(cell, DRAWS)
    if cell.what == "coverage":
        assert 0.91 <= row.share <= (1.0 if cell.group == "shares" else 0.99)
    else:
        assert row.share <= 0.05
    # The committed table is of the code as it is now.
    (committed,) = [one for one in read_table() if (one.group, one.cell, one.what) == (*_key(cell),)]
    assert row.share == pytest.approx(committed.share, abs=2 * row.two_se + 0.005)


def _key(cell: Cell) -> tuple[str, str, str]:
    return cell.group, cell.name, cell.what


# --- it is the production code that is run


def test_many_data_sets_at_once_are_given_the_intervals_of_each_alone() -> None:
    rng = np.random.default_rng(1)
    logs = rng.normal(size=(5, 7, 6))
    values = differences(rng, (5, 1, 40, 3), 0.1)[:, 0]
    pairs = [
        *zip(by_processes(logs), (estimates.of_processes(list(one)) for one in logs), strict=True),
        *zip(crossed(values), map(estimates.of_units, values), strict=True),
        *zip(crossed(values[..., :1]), map(estimates.of_units, values[..., :1]), strict=True),
    ]
    assert len(pairs) == 15
    for at_once, alone in pairs:
        assert (at_once.estimate, at_once.lo, at_once.hi) == pytest.approx(
            (alone.estimate, alone.lo, alone.hi)
        )
        assert (at_once.n, at_once.kind, at_once.logs) == (alone.n, "interval", alone.logs)


def test_half_of_the_differences_are_nothing_and_the_rest_are_as_large_as_said() -> None:
    values = differences(np.random.default_rng(2), (400, 1, 500, 4), 0.016, 0.01)[:, 0]
    by_unit, by_seed = values.mean(axis=-1), values.mean(axis=-2)
    assert (values == 0).all(axis=-1).mean() == pytest.approx(0.5, abs=0.01)
    assert values.mean() == pytest.approx(0.01, abs=0.001)
    assert by_unit.std() == pytest.approx(0.2, rel=0.1)
    assert (values - by_unit[..., None]).std(ddof=0) * (4 / 3) ** 0.5 == pytest.approx(0.1, rel=0.1)
    within = by_seed - by_seed.mean(axis=-1, keepdims=True)
    assert within.std() * (4 / 3) ** 0.5 == pytest.approx((0.016**2 + 0.1**2 / 500) ** 0.5, rel=0.1)


# --- faults that the simulation has to find


def test_an_interval_over_rounds_as_if_they_were_processes_covers_far_too_little() -> None:
    def by_rounds(logs: Array) -> list[Interval]:
        return by_processes(logs.reshape(len(logs), -1, 1))

    offsets = partial(alike, 0.08)
    assert share(times(8, offsets, "log-normal")) > 0.93
    assert share(times(8, offsets, "log-normal", by_rounds)) < 0.7


def test_a_normal_quantile_for_few_processes_covers_too_little() -> None:
    def normal(logs: Array) -> list[Interval]:
        centres, variances = estimates.mean_parts(np.median(logs, axis=-1))
        return intervals(centres, [(variances, 10**6)], logs=True)

    assert share(times(5, partial(alike, 0.04), "log-normal", normal)) < 0.91


def test_looking_after_every_process_covers_less_than_a_few_looks() -> None:
    few, each = (
        share(times(LOOKS[-1], partial(alike, 0.15), "log-normal", partial(stopped, looks)))
        for looks in (LOOKS, EACH)
    )
    assert each < 0.92 < few


def test_a_run_stops_at_its_first_narrow_look_or_at_the_last() -> None:
    logs = np.random.default_rng(3).normal(0, 0.2, (50, LOOKS[-1], 6, 1)).mean(axis=-1)
    logs += np.random.default_rng(4).normal(0, 0.15, (50, LOOKS[-1], 1))
    for found, one in zip(stopped(LOOKS, logs), logs, strict=True):
        looks = [estimates.of_processes(list(one[:look])) for look in LOOKS]
        first = next((look for look in looks if (look.hi / look.lo) ** 0.5 - 1 <= 0.10), looks[-1])
        assert (found.n, found.lo) == (first.n, pytest.approx(first.lo))
    assert len({found.n for found in stopped(LOOKS, logs)}) >= 3


def test_t_over_units_alone_covers_too_little_where_seeds_differ() -> None:
    def units_alone(values: Array) -> list[Interval]:
        return crossed(values.mean(axis=-1, keepdims=True))

    assert share(quality(3000, 3, 0.016), 300, 9000) > 0.93
    assert share(quality(3000, 3, 0.016, units_alone), 300, 9000) < 0.7


def test_t_over_seeds_alone_covers_too_little_where_units_differ() -> None:
    """Seeds share their units, so they do not show what other units would have given."""

    def seeds_alone(values: Array) -> list[Interval]:
        return [estimates.of_seeds(one.mean(axis=0)) for one in values]

    assert share(quality(200, 10, 0.004, seeds_alone)) < 0.7


def test_units_whose_clusters_are_forgotten_cover_too_little(monkeypatch: pytest.MonkeyPatch) -> None:
    assert share(clustered(CLUSTERS[200], 3, 0.008, 0.0)) > 0.93
    monkeypatch.setattr(coverage_units, "of_units", lambda values, clusters: estimates.of_units(values))
    assert share(clustered(CLUSTERS[200], 3, 0.008, 0.0)) < 0.85


def test_an_order_is_contradicted_too_often_if_its_pairs_are_not_asked_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (cell,) = [
        cell for cell in EVERY if name(cell) == "words of quality: order of three, all equal: contradicted"
    ]
    monkeypatch.setattr(kinds, "holm", lambda ps: [True] * len(ps))
    assert not coverage.run(cell, DRAWS).ok


def test_words_are_given_where_the_truth_earns_them() -> None:
    """So that a judge who never gives a word does not pass as one who seldom errs."""
    from remeasure.judging import coverage_words as words

    rng = np.random.default_rng(5)
    found = list(words.words(words.THREE, words.TIME, words.of_times("log-normal")((1.3, 1.3), rng, 50)))
    assert found.count("reproduced") > 45
    found = list(words.words(words.RATIO, words.TIME, words.of_times("log-normal")((0.8,), rng, 50)))
    assert found.count("contradicted") > 45
    found = list(words.words(words.DIFFERENCE, words.QUALITY, words.of_quality((0.1,), rng, 50)))
    assert found.count("reproduced") > 45


# --- rows, the command, the committed table


def test_a_cell_gives_the_same_row_whatever_else_is_run_and_another_with_another_seed() -> None:
    cell = next(cell for cell in EVERY if cell.group == "times")
    assert coverage.run(cell, 500) == coverage.run(cell, 500)
    assert coverage.run_all(EVERY[:2], 500, coverage.SEED)[0] == coverage.run(cell, 500)
    assert len({coverage.run(cell, 500, seed).share for seed in range(5)}) > 1


def test_no_two_cells_have_one_name() -> None:
    assert len(set(map(name, EVERY))) == len(EVERY)


def test_blocks_add_up_to_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def hits(rng: Rng, draws: int) -> Hits:
        asked.append(draws)
        return np.arange(draws) % 4 != 0

    monkeypatch.setattr(coverage, "AT_ONCE", 40)
    row = coverage.run(Cell("g", "c", 10, hits), 10)
    assert (asked, row.share, row.draws) == ([4, 4, 2], 0.7, 10)
    assert (row.ok, row.two_se) == (False, pytest.approx(2 * (0.7 * 0.3 / 10) ** 0.5, abs=1e-4))


def test_the_same_seed_writes_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [next(cell for cell in EVERY if cell.group == group) for group in ("shares", "simulations")]
    monkeypatch.setattr(coverage, "cells", lambda only="": few)
    written = []
    for file in (tmp_path / "a.json", tmp_path / "b.json"):
        monkeypatch.setattr(coverage, "TABLE", file)
        assert coverage.main(["--draws", "300", "--write"]) == 0
        written.append(file.read_bytes())
    assert written[0] == written[1]
    assert written[0].count(b"\n") == len(few) + 2
    printed = capsys.readouterr().out
    assert "min left" in printed
    assert "2 cells, 0 outside" in printed


@pytest.mark.parametrize("arguments", [["--write", "--only", "times"], ["--only", "nothing of that name"]])
def test_a_table_of_some_cells_or_of_none_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        coverage.main(arguments)


def test_cells_are_chosen_by_how_their_names_begin() -> None:
    assert {cell.group for cell in coverage.cells("words")} == {"words of times", "words of quality"}
    assert [cell.name for cell in coverage.cells("shares: 0.5 of 20 ")] == ["0.5 of 20 units"]


def test_the_committed_table_has_every_cell_and_none_misses() -> None:
    rows = read_table()
    assert [(row.group, row.cell, row.what, row.required) for row in rows] == [
        (*_key(cell), cell.required) for cell in EVERY
    ]
    assert min(row.draws for row in rows) >= 10_000
    assert [line(row) for row in rows if not row.ok] == []


def test_the_summary_has_the_smallest_and_the_largest_share_and_counts_what_misses() -> None:
    def row(share: float, ok: bool = True, required: tuple[float, float] | None = (0.93, 0.985)) -> Row:
        return Row(
            group="g", cell="c", what="coverage", share=share, two_se=0.01, draws=9, required=required, ok=ok
        )

    said = markdown([row(0.94), row(0.5, required=None), row(0.9, ok=False)])
    assert said.splitlines()[2:] == [
        "| g | coverage | 2 | 90.0 % | 94.0 % | 93.0 % – 98.5 % | 1 |",
        "| g | coverage | 1 | 50.0 % | 50.0 % | nothing |  |",
    ]
    assert line(row(0.9, ok=False)).endswith("MISSES 93.0 % – 98.5 %")
    assert "MISSES" not in line(row(0.94))


def test_a_table_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from remeasure.judging import coverage_table

    monkeypatch.setattr(coverage_table, "TABLE", tmp_path / "coverage.json")
    assert read_table() == []
    rows = [coverage.run(cell, 20) for cell in EVERY if cell.group == "shares"]
    (tmp_path / "coverage.json").write_bytes(encoded(rows))
    assert read_table() == rows


def test_the_table_is_read_and_the_command_is_loaded_without_what_is_slow_to_import() -> None:
    code = (
        "import sys, remeasure.judging.coverage, remeasure.judging.coverage_table as t; t.read_table(); "
        "print([name for name in ('scipy', 'numpy', 'pandas') if name in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
