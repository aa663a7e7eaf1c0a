"""What a machine shows of itself is read, and what it does not show is left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from remeasure.records.machine import settings, stolen_s


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, {}),
        ({"cpu0/cpufreq/scaling_governor": "performance\n"}, {"governor": "performance"}),
        ({"intel_pstate/no_turbo": "1\n"}, {"turbo": "off"}),
        ({"intel_pstate/no_turbo": "0\n"}, {"turbo": "on"}),
        ({"cpufreq/boost": "1\n"}, {"turbo": "on"}),
        ({"randomize_va_space": "2\n"}, {"ASLR": "on"}),
        ({"randomize_va_space": "0\n"}, {"ASLR": "off"}),
    ],
)
def test_settings_are_those_that_the_machine_shows(
    tmp_path: Path, files: dict[str, str], found: dict[str, str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert settings(tmp_path, tmp_path) == found


@pytest.mark.parametrize(
    ("text", "ticks"),
    [("cpu 1 2 3 4 5 6 7 250 0 0\ncpu0 1\n", 250), ("cpu 1 2 3\n", 0), ("", 0), ("cpu a", 0)],
)
def test_stolen_time_is_read_and_nothing_where_it_is_not_said(tmp_path: Path, text: str, ticks: int) -> None:
    import os

    stat = tmp_path / "stat"
    stat.write_text(text)
    assert stolen_s(stat) == ticks / os.sysconf("SC_CLK_TCK")
    assert stolen_s(tmp_path / "none") == 0.0
