"""Runs of the toy systems that a test may kill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from end_to_end.killed_runs import Runs


@pytest.fixture(scope="session")
def killed_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def runs(tmp_path: Path, killed_cache: Path) -> Iterator[Runs]:
    """Whatever still runs at the end of the test is ended."""
    runs = Runs(tmp_path, killed_cache)
    yield runs
    runs.end()
