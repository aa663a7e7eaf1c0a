"""`remeasure doctor`: is this machine ready to measure? Each check is one line that says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .declared.cards import DataCard
from .declared.registry import Registry, System
from .errors import UserError

State = Literal["ok", "note", "wrong"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ENOUGH_DISK = 2 << 30
"""Bytes free below which the caches of a standard run may not fit."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Check:
    """What was looked at, and how it is. Only `wrong` keeps a run from working."""

    name: str
    state: State
    detail: str


def checks(found: Registry, results: Path, cache: Path, root: Path | None) -> Iterator[Check]:
    """All checks, one after the other. root: the checkout, which has constraints.txt."""
    yield _python()
    yield _packages(root)
    for system in found.systems.values():
        yield _needed(system, found)
    for card in found.datasets.values():
        yield _data(card)
    yield _browser()
    yield _cores()
    yield _load()
    yield _blas()
    yield from _machine()
    yield _disk(results)
    yield _writable("results", results)
    yield _writable("cache", cache)
    yield _commit()


def versions_that_differ(constraints: str, installed: Callable[[str], str]) -> list[str]:
    """`name locked → installed` for every installed package of constraints.txt that has another version.

    installed: version of a package; raises PackageNotFoundError. Local tags (`+cpu`) do not count.
    """
    differs = []
    for name, locked in locks(constraints).items():
        try:
            here = installed(name).split("+")[0]
        except importlib.metadata.PackageNotFoundError:
            continue
        if here != locked:
            differs.append(f"{name} {locked} → {here}")
    return differs


def locks(constraints: str) -> Mapping[str, str]:
    """Package → version of the text of constraints.txt."""
    lines = (line.partition("#")[0].strip() for line in constraints.splitlines())
    return {name: version for name, _, version in (line.partition("==") for line in lines) if version}


def _python() -> Check:
    return Check("python", "ok", platform.python_version())


def _packages(root: Path | None) -> Check:
    if root is None or not (root / "constraints.txt").is_file():
        return Check(
            "packages", "note", "not in the checkout, so there is no constraints.txt to compare with."
        )
    text = (root / "constraints.txt").read_text(encoding="utf-8")
    differs = versions_that_differ(text, importlib.metadata.version)
    if differs:
        more = f" and {len(differs) - 3} more" if len(differs) > 3 else ""
        return Check(
            "packages", "note", f"differ from constraints.txt: {', '.join(differs[:3])}{more}; run `make`."
        )
    return Check("packages", "ok", f"all as in constraints.txt ({len(locks(text))} versions)")


def _needed(system: System, found: Registry) -> Check:
    """What a system imports."""
    from .records.packages import missing

    try:
        cards = {case.dataset: found.dataset(case.dataset) for case in system.cases.values()}
    except UserError as error:
        return Check(f"system {system.name}", "wrong", str(error))
    if lacks := missing(system, cards.values()):
        bring = "`pip install 'remeasure[models]'`, in a clone `make`, brings it"
        return Check(f"system {system.name}", "note", f"needs {', '.join(lacks)}, not installed; {bring}.")
    return Check(f"system {system.name}", "ok", "all that it imports is installed")


def _data(card: DataCard) -> Check:
    from .data.sources import resolve

    try:
        source = resolve(card)
    except UserError as error:
        return Check(f"data {card.name}", "wrong", str(error))
    if source.kind == "simulated":
        return Check(
            f"data {card.name}",
            "note",
            f"simulated; `remeasure dataset fetch {card.name}` brings the real files.",
        )
    return Check(
        f"data {card.name}", "ok", f"real, from {source.origin}" + (f", {source.note}" if source.note else "")
    )


def _browser() -> Check:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        return Check(
            "browser",
            "note",
            "no Chromium: the report is written all the same, its browser tests are skipped.",
        )
    return Check("browser", "ok", Path(path).name)


def _cores() -> Check:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Check("cores", "ok", f"{usable} of {os.cpu_count()} usable")


def _load() -> Check:
    load = os.getloadavg()[0]
    if load > 0.5 * (os.cpu_count() or 1):
        return Check(
            "load", "note", f"{load:.1f}: other work runs here; times will be noisier, ratios less so."
        )
    return Check("load", "ok", f"{load:.1f}")


def _blas() -> Check:
    """Workers are pinned to one thread whatever is set here; this is what a user's own script would get."""
    named = [f"{name}={os.environ[name]}" for name in THREADS if name in os.environ]
    return Check(
        "threads", "ok", ", ".join(named) or "not limited here; blocks are pinned to one thread each"
    )


def _machine() -> Iterator[Check]:
    """What makes times wander, as records hold it."""
    from .records.machine import settings, stolen_s

    for name, value in settings(Path("/sys/devices/system/cpu"), Path("/proc/sys/kernel")).items():
        wandering = (name, value) in (("turbo", "on"), ("governor", "ondemand"), ("governor", "powersave"))
        yield Check(
            name, "note" if wandering else "ok", f"{value}; times wander with it." if wandering else value
        )
    if stolen := stolen_s():
        yield Check("steal", "ok", f"{stolen:.0f} CPU s since the start went to others on the host")


def _disk(results: Path) -> Check:
    free = shutil.disk_usage(_existing(results)).free
    if free < ENOUGH_DISK:
        return Check("disk", "note", f"{free / 2**30:.1f} GB free; `remeasure clean` shows what can go.")
    return Check("disk", "ok", f"{free / 2**30:.0f} GB free")


def _writable(name: str, folder: Path) -> Check:
    """Try it: permissions, read-only mounts and quotas all show only then. Nothing is left."""
    try:
        with tempfile.NamedTemporaryFile(dir=_existing(folder)):
            return Check(name, "ok", f"{folder} can be written")
    except OSError as error:
        return Check(
            name, "wrong", f"{folder} cannot be written ({error.strerror}); unlock it or name another folder."
        )


def _commit() -> Check:
    from .records.provenance import UNKNOWN, commit

    found = commit()
    if found.commit == UNKNOWN:
        return Check(
            "commit", "note", f"unknown: {found.why}; records will say so, and no release takes them."
        )
    state = f"{found.commit[:12]}, with uncommitted changes" if found.dirty else found.commit[:12]
    return Check("commit", "ok", state)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above that exists."""
    folder = folder.absolute()
    return next(path for path in (folder, *folder.parents) if path.is_dir())
