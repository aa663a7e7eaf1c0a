"""What a worker runs with, whatever the process that starts it has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from running.toy_blocks import planned

from remeasure.records.store import Store
from remeasure.running.executors import local
from remeasure.running.runner import run

pytestmark = [pytest.mark.alone, pytest.mark.usefixtures("toys")]

TOLD = """
import json, os, sys
from pathlib import Path
from remeasure.running import worker
told = {"environment": dict(os.environ), "random hashes": sys.flags.hash_randomization}
Path(__file__).with_suffix(".json").write_text(json.dumps(told))
worker.main()
"""


def told_by_a_worker(store: Store, monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict[str, Any]:
    (folder / "telling.py").write_text(TOLD)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(local, "WORKER", "telling")
    outcome = run(planned(store, cases=["prediction"], seeds=[1]), store, local.LocalExecutor(1))
    assert len(outcome.done) == 1
    told: dict[str, Any] = json.loads((folder / "telling.json").read_text())
    return told


@pytest.mark.parametrize("theirs", [None, "7"])
def test_a_worker_has_one_thread_and_the_same_hashes_whatever_its_parent_has(
    store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, theirs: str | None
) -> None:
    ours = {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "PYTHONHASHSEED": "0",
    }
    for name in ours:
        monkeypatch.setenv(name, theirs) if theirs else monkeypatch.delenv(name, raising=False)
    told = told_by_a_worker(store, monkeypatch, tmp_path)
    assert {name: told["environment"].get(name) for name in ours} == ours
    assert not told["random hashes"]
