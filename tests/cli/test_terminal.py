"""On a terminal: bars, and no colour where NO_COLOR asks for none."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from toy.env import variables

COLOUR = re.compile(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7])m")


def on_a_terminal(tmp_path: Path, **environment: str) -> bytes:
    """What a run says on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    merged = {
        **os.environ,
        **variables(tmp_path / "cache"),
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        **environment,
    }
    merged = {key: value for key, value in merged.items() if value or key == "REMEASURE_DATA"}
    command = ["run", "--system", "toysys", "--case", "prediction", "--seed", "1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "remeasure", *command], cwd=tmp_path, env=merged, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert process.wait(60) == 0, said
    return said


@pytest.mark.parametrize(("no_color", "coloured"), [("1", False), ("", True)])
def test_no_color_is_honoured(tmp_path: Path, no_color: str, coloured: bool) -> None:
    said = on_a_terminal(tmp_path, NO_COLOR=no_color)
    assert b"blocks" in said and b"0/1" in said
    assert bool(COLOUR.search(said)) is coloured
