"""Copies of the checkout, in which modules are mutated; the checkout itself is only read."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from .lines import CUSTOMIZE
from .scope import ROOT, TESTS, source

WORK = ROOT / ".mutants"
"""What was recorded of the tests, and sessions that go on where they were stopped. Not committed."""


@contextmanager
def copies(count: int) -> Iterator[list[Path]]:
    """So many copies of what git knows of or would add, with all tests compiled; outside of the checkout, where no
    test takes the checkout for its own."""
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        yield _copies([Path(folder) / f"copy{number}" for number in range(count)])


def _copies(places: list[Path]) -> list[Path]:
    listed = git("ls-files", "--cached", "--others", "--exclude-standard", "-z")
    names = [name for name in listed.split("\0") if name and os.path.lexists(ROOT / name)]
    for place in places:
        for name in names:
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, place / name, follow_symlinks=False)
        (place / "src" / "sitecustomize.py").write_text(CUSTOMIZE)
        _compile(place)
    return places


def replace(place: Path, module: str, text: str) -> None:
    """Another text for a module; what was compiled of it goes, as two texts may be of one length and second."""
    path = place / source(module)
    for compiled in path.parent.glob(f"__pycache__/{path.stem}.*.pyc"):
        compiled.unlink()
    path.write_text(text, encoding="utf-8")


def text_of(module: str, place: Path = ROOT) -> str:
    return (place / source(module)).read_text(encoding="utf-8")


def sha_of(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()


def git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=True).stdout


def _compile(place: Path) -> None:
    """A collection compiles tests with their assertions, which every child would do again."""
    path = os.pathsep.join((str(place / "src"), str(place / "tests")))
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    folders = [f"tests/{folder}" for folder in TESTS]
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}
    subprocess.run([*command, *folders], cwd=place, env=environment, stdout=subprocess.DEVNULL, check=False)
