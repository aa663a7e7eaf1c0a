"""The committed results as a table and a list of survivors, between two marks in docs/statistics.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from .copies import sha_of, text_of
from .results import Result, Survivor
from .scope import MODULES, ROOT

PAGE = ROOT / "docs" / "statistics.md"
BEGIN, END = "<!-- mutants:begin -->", "<!-- mutants:end -->"
BETWEEN = re.compile(f"(?<={BEGIN}\n).*(?={END})", re.DOTALL)
WARNS = "**Warning:**"
"""Begins what is said of today's code, which no result holds."""


def markdown(results: Sequence[Result]) -> str:
    """A line a module, one of all; then what survived, and why it may."""
    lines = [
        "| module | mutants | killed | timed out | survived | found | CPU time |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_line(one.module, [one]) for one in results),
        _line("all", results),
        "",
    ]
    lines += [f"{warning}\n" for warning in _warnings(results)]
    for one in results:
        if one.survivors:
            lines += [f"Survivors of `{one.module}`:", "", *map(_survivor, one.survivors), ""]
    return "\n" + "\n".join(lines) + "\n"


def with_table(page: str, results: Sequence[Result]) -> str:
    return BETWEEN.sub(lambda _: markdown(results), page)


def without_warnings(page: str) -> str:
    """What has to be equal to the results, whatever the code is today."""
    return "\n\n".join(part for part in page.split("\n\n") if not part.startswith(WARNS))


def write(results: Sequence[Result], page: Path = PAGE) -> None:
    page.write_text(with_table(page.read_text(encoding="utf-8"), results), encoding="utf-8")


def _line(name: str, results: Sequence[Result]) -> str:
    total = sum(one.mutants for one in results)
    killed, late = sum(one.killed for one in results), sum(one.timed_out for one in results)
    minutes = sum(one.cpu_s for one in results) / 60
    found = f"{100 * (killed + late) / total:.1f} %" if total else ""
    return f"| {name} | {total} | {killed} | {late} | {total - killed - late} | {found} | {minutes:.0f} min |"


def _warnings(results: Sequence[Result]) -> list[str]:
    changed = [one.module for one in results if sha_of(text_of(one.module)) != one.source_sha256]
    missing = [module for module in MODULES if module not in {one.module for one in results}]
    said = {"changed since they were run": changed, "not run yet": missing}
    return [f"{WARNS} {what}: {', '.join(names)}." for what, names in said.items() if names]


def _survivor(one: Survivor) -> str:
    where = f"`{one.function}`" if one.function else "the module itself"
    return f"* {where}: {_code(one.before)} → {_code(one.after)}. {one.reason}".rstrip()


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"
