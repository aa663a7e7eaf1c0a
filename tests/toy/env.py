"""Points the tool at the toy: what a test sets before it asks for the registry."""

from __future__ import annotations

from pathlib import Path

import pytest

SYSTEMS = "toy.systems.toysys,toy.systems.faulty"
DATASETS = "toy.datasets.toydata"
MIRROR = Path(__file__).parent / "mirror"


def use_toy(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Toy systems and data, a cache of the test's own, no real data."""
    monkeypatch.setenv("REMEASURE_SYSTEMS", SYSTEMS)
    monkeypatch.setenv("REMEASURE_DATASETS", DATASETS)
    monkeypatch.setenv("REMEASURE_CACHE", str(cache))
    monkeypatch.delenv("REMEASURE_DATA", raising=False)


def variables(cache: Path) -> dict[str, str]:
    """The same for a subprocess, to be laid over os.environ."""
    tests = Path(__file__).parents[1]
    return {
        "REMEASURE_SYSTEMS": SYSTEMS,
        "REMEASURE_DATASETS": DATASETS,
        "REMEASURE_CACHE": str(cache),
        "REMEASURE_DATA": "",
        "PYTHONPATH": f"{tests.parent / 'src'}:{tests}",
        "OMP_NUM_THREADS": "1",
    }
