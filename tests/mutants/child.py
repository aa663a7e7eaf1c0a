"""A forked process that runs chosen tests on a copy of the checkout, and what its parent sees of it.

All that takes long to import is imported once, in the parent; the package itself is imported anew in each child.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from .scope import PATIENCE

QUIET = (
    *("-x", "-q", "--tb=short", "--no-header"),
    *(part for name in ("cacheprovider", "xdist", "benchmark", "anyio") for part in ("-p", f"no:{name}")),
)

TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class Ended:
    """How a child ended."""

    passed: bool
    late: bool
    test: str
    """The test that ran last: of a child that did not pass, the one that killed."""
    cpu_s: float


class Chosen:
    """The plug-in of a child: runs these tests in this order, and says which one begins."""

    def __init__(self, place: Path, order: Sequence[str], known: Collection[str], begins: int) -> None:
        self._place, self._known, self._begins = place, known, begins
        self._rank = {test: number for number, test in enumerate(order)}
        self._bases = {test.partition("[")[0]: number for number, test in enumerate(order)}

    def pytest_collection(self) -> None:
        """A property that fails has killed; the smallest example is not looked for."""
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings.get_profile("steady"), phases=phases)
        settings.load_profile("mutants")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        import remeasure

        assert Path(remeasure.__file__).is_relative_to(self._place), "the checkout is tested, not the copy"
        ranked = [(self._of(item.nodeid), number, item) for number, item in enumerate(items)]
        items[:] = [item for rank, _, item in sorted(ranked, key=lambda one: one[:2]) if rank >= 0]

    def _of(self, test: str) -> int:
        """A test whose parameters come from mutated constants has a name that nobody knows; it runs as well."""
        if test in self._rank or test in self._known:
            return self._rank.get(test, -1)
        return self._bases.get(test.partition("[")[0], -1)

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        os.write(self._begins, f"{nodeid}\n".encode())


class Child:
    """Runs `tests` in the copy `place`; files are what they lie in, in the order to collect."""

    def __init__(
        self,
        place: Path,
        tests: Sequence[str],
        known: Mapping[str, float],
        plugin: Callable[[], object] | None = None,
    ) -> None:
        """`plugin` makes one instead of the one that chooses: then all tests of the files run."""
        self._known, self._test, self._since = known, "", time.monotonic()
        self._tail = b""
        self._read, write = _pipe()
        self._said, says = _pipe()  # not a file, as a test may allow no file to grow
        self._scratch = place.parent / f"{place.name}.scratch"
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if not self._pid:
            try:
                os._exit(self._run(place, tests, write, says, plugin))
            finally:  # whatever is raised, a child never goes on as its parent
                os._exit(3)
        os.close(write)
        os.close(says)

    @property
    def said(self) -> str:
        """The end of what it printed."""
        return self._tail.decode(errors="replace")

    def look(self) -> Ended | None:
        """None while it runs. It is ended where a test takes far too long."""
        pid, status, usage = os.wait4(self._pid, os.WNOHANG)
        self._listen()
        least, times = PATIENCE
        late = not pid and time.monotonic() - self._since > least + times * self._known.get(self._test, 0.0)
        if not pid and not late:
            return None
        if late:
            self._kill()
            _, status, usage = os.wait4(self._pid, 0)
        self._sweep()
        code = os.waitstatus_to_exitcode(status)
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise RuntimeError(f"No test was run: {self.said}")
        return Ended(code == 0, late, self._test, usage.ru_utime + usage.ru_stime)

    def stop(self) -> None:
        self._kill()
        os.waitpid(self._pid, 0)
        self._sweep()

    def _listen(self) -> None:
        self._tail = (self._tail + _pending(self._said))[-TAIL_BYTES:]
        begun = _pending(self._read).decode().splitlines()
        if begun:
            self._test, self._since = begun[-1], time.monotonic()

    def _sweep(self) -> None:
        """What the tests left running ends with them."""
        self._kill()
        self._listen()
        os.close(self._read)
        os.close(self._said)

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)

    def _run(
        self, place: Path, tests: Sequence[str], begins: int, says: int, plugin: Callable[[], object] | None
    ) -> int:
        os.setsid()
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, handle in enumerate((nothing, says, says)):
            os.dup2(handle, number)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        paths = [str(place / "src"), str(place / "tests")]
        scratch = str(self._scratch)
        os.environ |= {
            **{"PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": scratch},
            **{
                "REMEASURE_CACHE": f"{scratch}/cache",
                "HYPOTHESIS_STORAGE_DIRECTORY": f"{scratch}/hypothesis",
            },
            **{"XDG_CACHE_HOME": f"{scratch}/xdg"},
        }
        sys.dont_write_bytecode = True
        sys.path[:0] = paths
        tempfile.tempdir = None
        os.chdir(place)
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        plugins = [plugin()] if plugin else [Chosen(place, tests, self._known, begins)]
        return int(pytest.main([*QUIET, f"--basetemp={scratch}/pytest", *files], plugins))


def _pipe() -> tuple[int, int]:
    """Both ends; reading never waits."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    return read, write


def _pending(handle: int) -> bytes:
    try:
        return os.read(handle, 1 << 20)
    except BlockingIOError:
        return b""
