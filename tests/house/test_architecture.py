"""docs/architecture.md walks one number through the rooms; here the walk is run and seen."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Generator, Sequence
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from remeasure.cli.app import run as command
from remeasure.declared.registry import registry
from remeasure.package import PACKAGE
from remeasure.running.executors import local
from remeasure.running.messages import Budget, Finished, Job, Progress, Usage
from remeasure.running.runner import run_block
from toy.env import use_toy

DOCUMENT = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
STEP = re.compile(r"^\d+\. `([\w.]+)`", re.MULTILINE)


class Here:
    """An executor in this process, so that what a worker does is seen as well."""

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = 1

    def run(self, jobs: Sequence[Job], progress: Progress, budget: Budget) -> Generator[Finished, None, None]:
        for job in jobs:
            record = run_block(job.block)
            yield Finished(job, record, None, Usage(record.provenance.started, 1.0, 1.0, 1.0, 0.0, 0.0))


def entered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The package's functions that `remeasure run` of one claim entered, in order, as `room.file.function`."""
    use_toy(monkeypatch, tmp_path / "cache")
    monkeypatch.setattr(local, "LocalExecutor", Here)
    seen: list[CodeType] = []

    def look(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            seen.append(frame.f_code)

    arguments = ["run", "--claim", "toysys/ten-times-faster", "--seed", "1", "--set", "steps=1000"]
    sys.setprofile(look)
    try:
        assert command([*arguments, "--results", str(tmp_path / "results")]) == 0
    finally:
        sys.setprofile(None)
    return [name for name in map(_named, seen) if name]


@cache
def _named(code: CodeType) -> str:
    """`room.file.function`; empty for a function of anything else."""
    file = Path(code.co_filename)
    if not file.is_relative_to(PACKAGE):
        return ""
    return ".".join([*file.relative_to(PACKAGE).with_suffix("").parts, code.co_qualname])


def in_order(steps: Sequence[str], calls: Sequence[str]) -> str:
    """The first step that does not follow the ones before it; empty if all do."""
    rest = iter(calls)
    return next((step for step in steps if step not in rest), "")


def test_a_number_takes_the_way_that_is_written_down(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    steps = STEP.findall(DOCUMENT)
    assert len(steps) >= 15
    for step in steps:
        module, _, function = step.partition(".")[2].partition(".")
        found: Any = importlib.import_module(f"remeasure.{step.partition('.')[0]}.{module}")
        for name in function.split("."):
            found = getattr(found, name)
        assert callable(found), step
    registry.__globals__["_registry"].cache_clear()
    assert in_order(steps, entered(monkeypatch, tmp_path)) == ""


def test_a_step_that_is_missing_or_too_early_is_seen() -> None:
    calls = ["a", "b", "a", "c"]
    assert in_order(["a", "c"], calls) == ""
    assert in_order(["a", "x"], calls) == "x"
    assert in_order(["c", "b"], calls) == "b"


def test_every_room_is_explained() -> None:
    rooms = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    for room in set(rooms) - {"impls", "datasets"}:
        assert f"| `{room}` |" in DOCUMENT
