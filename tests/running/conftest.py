"""The toy systems, one cache for all that is measured of them, and a store of a test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from remeasure.records.store import Store
from toy.env import use_toy


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests, so that contracts of the toys are checked once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def toys(monkeypatch: pytest.MonkeyPatch, shared_cache: Path) -> None:
    use_toy(monkeypatch, shared_cache)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")
