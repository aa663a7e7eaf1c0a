"""What a run found, a file a module under results/mutants. People write the reasons; a run keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from .scope import ROOT

KEPT = ROOT / "results" / "mutants"


class Survivor(msgspec.Struct, kw_only=True):
    """A mutant that every test let through."""

    operator: str
    function: str
    line: int
    before: str
    after: str
    tests: int
    """How many tests it outlived; 0: none runs its line."""
    reason: str = ""
    """Why it may live, by a person who looked at it."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Stays the same while lines are added above."""
        return self.function, self.before, self.after


class Result(msgspec.Struct, kw_only=True):
    """One module."""

    module: str
    commit: str
    source_sha256: str
    """Of the module's text."""
    tests_sha256: str
    """Of the tests that reach it, and of the operators."""
    mutants: int
    killed: int
    """By a test that failed."""
    timed_out: int
    """A test never came to its end."""
    cpu_s: float
    survivors: list[Survivor]

    @property
    def share(self) -> float:
        """Of the mutants, those that were found."""
        return (self.killed + self.timed_out) / self.mutants if self.mutants else 1.0


def read(module: str, folder: Path = KEPT) -> Result | None:
    path = folder / f"{module}.json"
    return msgspec.json.decode(path.read_bytes(), type=Result) if path.exists() else None


def write(result: Result, folder: Path = KEPT) -> None:
    """The reasons of an earlier run stay with the mutants that are still there."""
    earlier = read(result.module, folder)
    keep_reasons(result.survivors, earlier.survivors if earlier else ())
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(result), indent=1)
    (folder / f"{result.module}.json").write_bytes(text + b"\n")


def keep_reasons(survivors: Iterable[Survivor], earlier: Iterable[Survivor]) -> None:
    """Of two places that read alike in a function, the first reason goes to the first."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for one in earlier:
        reasons.setdefault(one.key, []).append(one.reason)
    for one in survivors:
        found = reasons.get(one.key)
        if found:
            one.reason = found.pop(0) if len(found) > 1 else found[0]
