"""Where a number comes from: the machine, the commit, the code that can change it; and the key of a block."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import psutil

from ..contracts import Case
from ..declared.cards import DataCard
from ..declared.registry import System
from ..package import PACKAGE
from .machine import settings
from .packages import normal
from .record import Environment
from .shared_code import reached

UNKNOWN = "unknown"

MEASURING = ("measure.py", "units.py", "garbage.py")
"""The files of `running` that decide what a sample is."""
CODE_SUFFIXES = (".py", ".toml", ".json", ".csv")
"""Files that can change a number: code, data cards, calibrations, tables of costs."""
NOT_CODE = ("claims.toml",)
"""Claims are judged afterwards; editing one measures nothing again."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
BLAS_KEYS = ("user_api", "internal_api", "prefix", "version", "threading_layer", "architecture")
HASHED_WHOLE = 1 << 20
"""Untracked files above this many bytes enter the dirty hash by name and size alone."""


def environment() -> tuple[str, Environment]:
    """The sha256 and the record of what is stable about this machine and this process's settings."""
    record = Environment(
        python=platform.python_version(),
        packages=_packages(),
        blas=_blas(),
        cpu_model=cpu_model(),
        cores=os.cpu_count() or 1,
        affinity=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        cgroup_cpu=_cgroup_cpu(Path("/sys/fs/cgroup")),
        ram_mb=psutil.virtual_memory().total >> 20,
        kernel=f"{platform.system()} {platform.release()}",
        threads={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
        settings=settings(Path("/sys/devices/system/cpu"), Path("/proc/sys/kernel")),
    )
    return sha_of(record), record


@dataclass(frozen=True)
class Revision:
    """What git says of this code."""

    commit: str
    """40 hex digits, or `unknown`."""
    dirty: str
    """Hash of what is uncommitted outside results/; empty when clean."""
    why: str = ""
    """Where the commit is unknown, why: git's own words where it refuses, which say what helps."""


def commit() -> Revision:
    """The commit this code is from, and what is uncommitted.

    `unknown` where the code is no working copy (installed from a wheel), git is missing, or git refuses.
    """
    try:
        # A package installed into an environment inside some repository is not that repository's code.
        _git(PACKAGE, "ls-files", "--error-unmatch", "--", "__init__.py")
        root = Path(_git(PACKAGE, "rev-parse", "--show-toplevel").decode().strip())
        head = _git(root, "rev-parse", "HEAD").decode().strip()
        return Revision(head, _dirty(root))
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.decode(errors="replace").split())
        refused = "dubious ownership" in said
        return Revision(UNKNOWN, "", f"git refuses: {said}" if refused else "this code is no checkout")
    except (OSError, subprocess.SubprocessError):
        return Revision(UNKNOWN, "", "git is not here")


def fingerprint(system: System, card: DataCard) -> str:
    """sha256 over the code that can change this system's numbers: its folder, its data set's folder, what both import
    of the shared folders, and the measuring function. The same in a working copy and in an installed wheel."""
    digest = hashlib.sha256()
    parts = {
        "system": (system.folder, code_files(system.folder)),
        "common": (PACKAGE, reached([system.folder, card.folder], PACKAGE)),
        "dataset": (card.folder, code_files(card.folder)),
    }
    for label, (folder, files) in parts.items():
        for path in files:
            _add(digest, f"{label}/{path.relative_to(folder).as_posix()}", path.read_bytes())
    # They lie in a room above this one, so they are read as files and not imported.
    for name in MEASURING:
        _add(digest, name, (PACKAGE / "running" / name).read_bytes())
    return digest.hexdigest()


def code_files(folder: Path) -> list[Path]:
    """The files below `folder` that can change a number, sorted."""
    found = (path for path in folder.rglob("*") if path.suffix in CODE_SUFFIXES and path.name not in NOT_CODE)
    return sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def block_key(
    case: Case,
    *,
    profile: str,
    data_sha256: str,
    seed: int,
    rounds: int,
    fingerprint: str,
    packages: Mapping[str, str],
) -> str:
    """The name of a block's record: all that decides its numbers; `case` is what `at_profile` returned.

    The profile is part of it because the record says of which profile, and with which evidence, it is.
    """
    parts = {
        "case": case.id,
        "profile": profile,
        "request": plain(case.request),
        "arms": [[arm.name, arm.role, type(arm.config).__qualname__, plain(arm.config)] for arm in case.arms],
        "data": data_sha256,
        "seed": seed,
        "rounds": rounds,
        "code": fingerprint,
        "packages": versions(packages),
        "cpu": cpu_model() if case.timed else "",
    }
    return sha_of(parts)[:32]


def versions(packages: Mapping[str, str]) -> str:
    """Hash of the versions that a result may depend on: python, and these packages."""
    python = ".".join(platform.python_version_tuple()[:2])
    return sha_of({"python": python, **packages})


def plain(value: Any) -> Any:
    """A config or request as JSON types."""
    return msgspec.to_builtins(value, str_keys=True)


def sha_of(value: Any) -> str:
    """sha256 over the JSON of a value, whatever order its mappings are in."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()


def cpu_model() -> str:
    try:
        named = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        named = None
    return named[1].strip() if named else platform.processor() or platform.machine()


def _packages() -> dict[str, str]:
    """Every installed distribution but this one; of two of a name the one that is imported."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name and name.lower() != "remeasure":
            found.setdefault(normal(name), distribution.version)
    return dict(sorted(found.items()))


def _blas() -> list[dict[str, Any]]:
    """The BLAS that numpy computes with.

    Only numpy's own: which other libraries are loaded depends on what was imported before, and the record
    must not. Thread counts are left out for the same reason; the variables that set them are in `threads`.
    """
    import numpy  # noqa: F401  (threadpoolctl sees what is loaded)
    from threadpoolctl import threadpool_info

    loaded = [library for library in threadpool_info() if library.get("user_api") == "blas"]
    own = [library for library in loaded if "numpy" in library.get("filepath", "")] or loaded
    reduced = [{key: library.get(key) or "" for key in BLAS_KEYS} for library in own]
    return sorted(reduced, key=lambda library: tuple(map(str, library.values())))


def _cgroup_cpu(root: Path) -> str:
    """CPUs the control group allows, e.g. `2`, or `max`."""
    for quota_file, period_file in (("cpu.max", None), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            words = (root / quota_file).read_text().split()
            words += (root / period_file).read_text().split() if period_file else []
            quota, period = words
            return "max" if quota in ("max", "-1") else f"{int(quota) / int(period):g}"
        except (OSError, ValueError):
            continue
    return "max"


def _dirty(root: Path) -> str:
    outside = ("--", ".", ":(exclude)results")
    diff = _git(root, "diff", "HEAD", "--binary", "--no-ext-diff", *outside)
    untracked = _git(root, "ls-files", "--others", "--exclude-standard", "-z", *outside)
    if not diff and not untracked:
        return ""
    digest = hashlib.sha256(diff)
    for name in sorted(filter(None, untracked.split(b"\0"))):
        _add(digest, os.fsdecode(name), b"".join(_content(root / os.fsdecode(name))))
    return digest.hexdigest()


def _content(path: Path) -> Iterator[bytes]:
    try:
        size = path.stat().st_size
        yield path.read_bytes() if size <= HASHED_WHOLE else str(size).encode()
    except OSError:
        yield b"unreadable"


def _git(folder: Path, *arguments: str) -> bytes:
    # What a hook or another git left in the environment names its own repository, not the one that is asked about.
    inherited = {name: value for name, value in os.environ.items() if name not in _of_a_repository()}
    environment = {**inherited, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, check=True, timeout=60, env=environment).stdout


@cache
def _of_a_repository() -> frozenset[str]:
    """Variables by which git names a repository."""
    listed = subprocess.run(
        ["git", "rev-parse", "--local-env-vars"], capture_output=True, check=True, timeout=60
    )
    return frozenset(listed.stdout.decode().split())


def _add(digest: hashlib._Hash, name: str, content: bytes) -> None:
    """Length first, so that no two different sets of files run together into the same bytes."""
    digest.update(f"{len(name)}:{name}:{len(content)}:".encode())
    digest.update(content)
