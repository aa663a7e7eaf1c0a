"""What a run itself cost."""

from typing import Any

import msgspec
import pytest
from records_factory import provenance, timed

from remeasure.judging.run_cost import covered, run_figures
from remeasure.records.record import Record


def test_blocks_side_by_side_count_once_and_pauses_do_not_count() -> None:
    assert covered([(0, 10), (2, 5), (8, 12), (100, 101)]) == 13
    assert covered([]) == 0


def test_a_system_without_finished_blocks_has_no_figures() -> None:
    assert run_figures("opdai", "smoke", []) == []


def test_a_run_costs_what_its_finished_blocks_took_together() -> None:
    def block(seed: int, minute: int, **changes: Any) -> Record:
        started = f"2026-07-01T10:{minute:02}:00+00:00"
        return timed(seed, from_=provenance(started=started, **changes))

    records = [
        block(1, 0, wall_s=120.0, cpu_s=90.0, peak_rss_mb=512.0),
        block(2, 1, wall_s=120.0, cpu_s=30.0, peak_rss_mb=2048.0),
        block(3, 30, wall_s=60.0, cpu_s=60.0, peak_rss_mb=100.0),
        msgspec.structs.replace(block(4, 40, wall_s=60.0, cpu_s=60.0, peak_rss_mb=9999.0), status="failure"),
    ]
    wall, cpu, peak = run_figures(records[0].system, "smoke", [*records, other(records[0])])
    assert [row.name for row in (wall, cpu, peak)] == [
        "smoke run, wall time of all blocks",
        "smoke run, CPU time of all blocks",
        "smoke run, peak memory of a block",
    ]
    assert (wall.value, wall.unit) == (pytest.approx(4.0), "min")
    assert (cpu.value, cpu.unit) == (pytest.approx(3.0), "CPU minutes")
    assert (peak.value, peak.unit) == (pytest.approx(2.0), "GB")
    assert {(row.n, row.evidence, row.data) for row in (wall, cpu, peak)} == {(3, "measured", "real")}
    assert {row.system for row in (wall, cpu, peak)} == {records[0].system}


def other(record: Record) -> Record:
    return msgspec.structs.replace(record, system="another")
