"""Which test runs which line: recorded in one unmutated run, file by file, and kept until something changes.

A file of tests is recorded again where it, the tests' helpers or a module that its tests reach is another.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from .child import Child
from .copies import WORK, sha_of, text_of
from .lines import VARIABLE, watch
from .scope import ALONE_S, AT_ONCE_S, MODULES, NOT_ASKED, OTHERS_S, ROOT, TESTS, source

COLLECTED = ""
"""Stands for a test: what runs while a file's tests are collected."""


class Broken(Exception):
    """Unmutated tests fail; the sentence for people."""


class FileReach(msgspec.Struct):
    """One file of tests."""

    sha256: str
    """Of its text and that of the helpers."""
    modules: dict[str, str]
    """The modules that it reaches → the sha256 of their text."""
    seconds: dict[str, float]
    """Test → how long it took while it was watched."""
    lines: dict[str, dict[str, list[int]]]
    """Test → module → the lines that it runs."""


class Reach:
    """Of all files of tests."""

    def __init__(self, files: dict[str, FileReach]) -> None:
        self.files = files
        self.seconds = {test: took for file in files.values() for test, took in file.seconds.items()}

    def tests(self, module: str, lines: range | None) -> list[str]:
        """The tests that may kill a mutant of these lines, in the order in which they are asked.

        First those of the module's room that run the lines, those in the module's own file of tests before the
        others; then the quick ones of the same files, as a test may show what another one made. At last tests of other
        rooms that run the lines, as many as the time for them allows.
        """
        room, _, name = module.partition(".")
        own = [file for file in self.files if file.startswith(f"tests/{room}/")]
        hit = {
            test for file in self.files.values() for test in file.seconds if _runs(file, test, module, lines)
        }
        near = [
            file
            for file in own
            if hit & self.files[file].seconds.keys() or _runs(self.files[file], COLLECTED, module, lines)
        ]

        def rank(test: str) -> tuple[bool, bool, float]:
            return test not in hit, f"/test_{name}" not in test, self.seconds[test]

        beside = [
            test for file in near for test, took in self.files[file].seconds.items() if took <= AT_ONCE_S
        ]
        chosen = sorted({*beside, *(test for test in hit if test.startswith(f"tests/{room}/"))}, key=rank)
        left = OTHERS_S if hit.intersection(chosen) else ALONE_S
        for test in sorted(hit.difference(chosen), key=self.seconds.__getitem__):
            left -= self.seconds[test]
            if left < 0:
                break
            chosen.append(test)
        return chosen

    def sha256(self, module: str) -> str:
        """Of all files of tests that reach the module."""
        return sha_of(*(file.sha256 for _, file in sorted(self.files.items()) if module in file.modules))


def _runs(file: FileReach, test: str, module: str, lines: range | None) -> bool:
    found = file.lines.get(test, {}).get(module, ())
    return bool(found) if lines is None else any(line in lines for line in found)


class Recorder:
    """The plug-in of the unmutated run of one file: writes down what each test runs, and for how long."""

    def __init__(self, place: Path, out: Path) -> None:
        self._place, self._out, self._started = place, out, out.with_suffix(".lines")
        self._modules = {str(place / source(module)): module for module in MODULES}
        self._seen: set[tuple[str, int]] = set()
        self._lines: dict[str, dict[str, list[int]]] = {}
        self._seconds: dict[str, float] = {}
        watch(self._modules, lambda file, line: self._seen.add((file, line)))

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not any(part in item.nodeid for part in NOT_ASKED)]
        self._keep(COLLECTED)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        os.environ[VARIABLE] = str(self._started)
        began = time.monotonic()
        done = yield
        self._seconds[item.nodeid] = time.monotonic() - began
        self._keep(item.nodeid)
        return done

    def pytest_sessionfinish(self) -> None:
        reached = {
            module: sha_of(text_of(module, self._place)) for lines in self._lines.values() for module in lines
        }
        found = FileReach("", dict(sorted(reached.items())), self._seconds, self._lines)
        self._out.write_bytes(msgspec.json.encode(found))

    def _keep(self, test: str) -> None:
        seen, self._seen = self._seen, set()
        if self._started.exists():
            for said in self._started.read_text().splitlines():
                line, _, file = said.partition(" ")
                if file in self._modules and line.isdecimal():  # else a line that was cut short
                    seen.add((file, int(line)))
            self._started.unlink()
        by_module: dict[str, list[int]] = {}
        for file, line in sorted(seen):
            by_module.setdefault(self._modules[file], []).append(line)
        self._lines[test] = by_module


def reach(place: Path, told: Callable[[int, int], None]) -> Reach:
    """What was kept, and anew what has changed; `told` hears how many of how many files are done."""
    folder = WORK / "reach"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, FileReach] = {}
    names = list(_test_files(place))
    for number, name in enumerate(names):
        told(number, len(names))
        kept = folder / f"{name.removeprefix('tests/').replace('/', '.')}.json"
        sha256 = sha_of((place / name).read_text(), *_helpers(place))
        file = msgspec.json.decode(kept.read_bytes(), type=FileReach) if kept.exists() else None
        if file is None or file.sha256 != sha256 or not _still(place, file):
            file = _record(place, name, kept)
            file.sha256 = sha256
            kept.write_bytes(msgspec.json.encode(file))
        if file.seconds:
            found[name] = file
    return Reach(found)


def _record(place: Path, name: str, kept: Path) -> FileReach:
    kept.unlink(missing_ok=True)
    with _child(place, name, kept) as child:
        while (ended := child.look()) is None:
            time.sleep(0.05)
    if not ended.passed or not kept.exists():
        log = WORK / "broken.log"
        log.write_text(child.said)
        raise Broken(f"{name} fails without any mutation; {log.relative_to(ROOT)} says how.")
    return msgspec.json.decode(kept.read_bytes(), type=FileReach)


@contextmanager
def _child(place: Path, name: str, kept: Path) -> Iterator[Child]:
    child = Child(place, [name], {"": UNHURRIED_S}, lambda: Recorder(place, kept))
    try:
        yield child
    except BaseException:
        child.stop()
        raise


def _still(place: Path, file: FileReach) -> bool:
    return all(
        module in MODULES and sha_of(text_of(module, place)) == sha for module, sha in file.modules.items()
    )


def _test_files(place: Path) -> Iterator[str]:
    for folder in TESTS:
        for path in sorted((place / "tests" / folder).rglob("test_*.py")):
            name = path.relative_to(place).as_posix()
            if not any(part in name for part in NOT_ASKED):
                yield name


def _helpers(place: Path) -> list[str]:
    """The texts of what tests share: whatever is no file of tests, in the folders that are asked and the toys'."""
    found = [path for folder in (*TESTS, "toy") for path in sorted((place / "tests" / folder).rglob("*.py"))]
    found += sorted((place / "tests").glob("*.py"))
    return [path.read_text() for path in found if not path.name.startswith("test_")]


UNHURRIED_S = 200.0
"""A file of tests may take this long while it is watched, times the patience."""
