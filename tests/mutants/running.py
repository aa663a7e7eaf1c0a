"""A whole run: copies, the unmutated run that says which test runs what, then module by module."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .copies import copies
from .reach import reach
from .results import Result, read
from .session import Session

HEAVY = (
    *(
        "numpy",
        "scipy.stats",
        "scipy.special",
        "scipy.optimize",
        "pandas",
        "pyarrow.parquet",
        "matplotlib.pyplot",
    ),
    *(
        "msgspec",
        "hypothesis.extra.numpy",
        "_hypothesis_pytestplugin",
        "pytest",
        "typer.testing",
        "rich.live",
    ),
    *("jinja2", "requests", "pooch", "psutil", "threadpoolctl", "packaging.requirements", "platformdirs"),
)
"""Imported once, before children are forked: they take longer than most mutants."""


def run(modules: Sequence[str], jobs: int, results: Path, again: bool, survivors: bool) -> Iterator[Result]:
    """The result of each module that has to run; one whose text and tests are as they were is left as it is."""
    for name in HEAVY:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # children need not look through it
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # No thread draws it: a fork would take its locks along.
    with Progress(*columns, auto_refresh=False) as progress, copies(jobs) as places:
        bar = progress.add_task("the tests, unmutated", total=None)

        def told(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total, refresh=True)

        reached = reach(places[0], lambda done, total: told("the tests, unmutated", done, total))
        for module in modules:
            session = Session(module, places, reached)
            known = read(module, results)
            same = known and (known.source_sha256, known.tests_sha256) == session.hashes
            if same and not again and not survivors:
                continue
            progress.reset(bar, description=module, total=None)
            yield session.run(
                lambda done, total, lived, module=module: told(f"{module} ({lived} survived)", done, total),
                again,
                survivors,
            )
