"""`cli(...)` runs the command line in this process, in an empty folder, and gives what it said."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from remeasure.cli.app import run
from toy.env import use_toy


@dataclass(frozen=True)
class Said:
    """What a call left behind."""

    code: int
    out: str
    err: str


Cli = Callable[..., Said]


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests, so that contracts of the toys are checked once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def cli(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shared_cache: Path, tmp_path: Path
) -> Cli:
    use_toy(monkeypatch, shared_cache)
    monkeypatch.delenv("REMEASURE_RESULTS", raising=False)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str | Path) -> Said:
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return call


def is_refusal(said: Said) -> bool:
    """Exit code 2 and one sentence: no traceback, nothing on standard output."""
    lines = said.err.strip().splitlines()
    return said.code == 2 and len(lines) == 1 and lines[0].startswith("remeasure: ") and not said.out
