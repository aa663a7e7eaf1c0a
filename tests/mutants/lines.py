"""Which lines of the package run: in a test's process, and in what it starts (there by way of sitecustomize)."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Container
from contextlib import suppress
from types import FrameType
from typing import Any

VARIABLE = "MUTANTS_LINES"
"""Names the file into which a process that a test starts writes its lines."""
CUSTOMIZE = f"""\
import os

if "{VARIABLE}" in os.environ:
    from mutants.lines import write

    write(os.environ["{VARIABLE}"])
"""

See = Callable[[str, int], None]


def watch(files: Container[str], see: See) -> None:
    """Calls `see` with the file and the number of every line that runs from now on."""

    def inside(frame: FrameType, event: str, argument: Any) -> Any:
        if event == "line":
            see(frame.f_code.co_filename, frame.f_lineno)
        return inside

    def outside(frame: FrameType, event: str, argument: Any) -> Any:
        return inside(frame, "line", None) if frame.f_code.co_filename in files else None

    threading.settrace(outside)
    sys.settrace(outside)


def write(path: str) -> None:
    """What a started process does: each line once, at once, as it may be killed any time."""
    from mutants.scope import MODULES, source

    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    seen: set[tuple[str, int]] = set()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def see(file: str, line: int) -> None:
        if (file, line) not in seen:
            seen.add((file, line))
            with suppress(OSError):  # a test may allow no file to grow
                os.write(handle, f"{line} {file}\n".encode())

    watch({os.path.join(root, source(module)) for module in MODULES}, see)
