"""Processes of this machine: which of them a block started, and how they are ended.

What a block starts carries the block's mark in its environment, whatever session or parent it has taken since. The
mark names the block's supervisor, so a mark whose supervisor is gone is on something left behind.

Straight from /proc: a look at all processes is taken beside what is timed, and one read of `stat` says all of it.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .errors import UserError

MARK = "REMEASURE_BLOCK"
"""The variable that everything a block starts finds in its environment."""
PATIENCE_S = 10.0
"""Seconds until a process that was killed must be gone; one that waits for a broken disk never is."""

_NAME = r"\d+ \d+ \S+"
_MARKED = re.compile(f"{MARK}=({_NAME})".encode())
_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


class Process(NamedTuple):
    """What one line of /proc says of a process."""

    pid: int
    name: str
    parent: int
    dead: bool
    """A zombie: nobody has asked yet how it ended."""
    started: int
    """Clock ticks since the machine started: with the number, it names a process for good."""
    cpu_s: float
    children_cpu_s: float
    """Of its children that have ended and were waited for."""
    resident_mb: float


def process(pid: int) -> Process | None:
    """None where there is no such process, or it is not ours to see."""
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = line.partition("(")[2].rpartition(")")  # a name may hold brackets too
    field = rest.split()
    user, system, children_user, children_system = map(int, field[11:15])
    return Process(
        pid=pid,
        name=name,
        parent=int(field[1]),
        dead=field[0] in "ZX",
        started=int(field[19]),
        cpu_s=(user + system) * _TICK_S,
        children_cpu_s=(children_user + children_system) * _TICK_S,
        resident_mb=int(field[21]) * _PAGE_MB,
    )


def processes() -> Iterator[Process]:
    """The newest first, each as it is when its turn comes: who means to end one that forks and dies must be quick."""
    numbers = (int(name) for name in os.listdir(_PROC) if name.isdigit())
    return (found for number in sorted(numbers, reverse=True) if (found := process(number)))


def descendants(pid: int) -> list[Process]:
    """Children, their children and so on; not `pid` itself, and none that is dead."""
    children: dict[int, list[Process]] = {}
    for found in processes():
        children.setdefault(found.parent, []).append(found)
    under, look = list[Process](), [pid]
    while look:
        under += (more := children.get(look.pop(), []))
        look += (found.pid for found in more)
    return [found for found in under if not found.dead]


def name_of(pid: int) -> str:
    """A name that no other process has or will have: number, start, and the namespace that the number is of."""
    found = process(pid)
    return f"{pid} {found.started if found else 0} {_namespace()}"


def is_name(text: str) -> bool:
    return re.fullmatch(_NAME, text) is not None


def lives(name: str) -> bool:
    """Whether the process that `name_of` named is there; one of another namespace counts as there."""
    pid, started, namespace = name.split(" ")
    found = process(int(pid))
    return namespace != _namespace() or bool(found and not found.dead and found.started == int(started))


def marked(mark: str) -> Iterator[Process]:
    """What carries this mark."""
    return (found for found in processes() if mark_of(found) == mark)


def left_behind() -> Iterator[Process]:
    """What carries the mark of a supervisor that is gone."""
    return (found for found in processes() if (mark := mark_of(found)) and not lives(mark))


def mark_of(found: Process) -> str:
    """ "" where it has none, is dead, or is another user's."""
    try:
        variables = (_PROC / str(found.pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    matches = (_MARKED.fullmatch(variable) for variable in variables)
    return next((match[1].decode() for match in matches if match), "")


def end(find: Callable[[], Iterable[Process]]) -> list[Process]:
    """Kill what `find` finds until it finds nothing: what is killed may just have started another.

    Raises UserError where something is still there after PATIENCE_S.
    """
    ended, deadline = dict[int, Process](), time.monotonic() + PATIENCE_S
    while found := [_killed(one) for one in find() if one.pid != os.getpid()]:
        ended |= {one.pid: one for one in found}
        if time.monotonic() > deadline:
            raise UserError(
                f"{listed(found)} cannot be ended, though SIGKILL was sent; it waits for a device or belongs to "
                "another user. End it or restart the machine, then run the same command again."
            )
        time.sleep(0.002)
    return list(ended.values())


def _killed(one: Process) -> Process:
    with suppress(ProcessLookupError, PermissionError):
        os.kill(one.pid, signal.SIGKILL)
    return one


def end_left_behind() -> str:
    """End what killed runs left on this machine; a sentence about it, or "" where there was nothing."""
    ended = end(left_behind)
    return f"Ended what a killed run had left running: {listed(ended)}." if ended else ""


def listed(some: Iterable[Process]) -> str:
    return ", ".join(f"{one.name} (process {one.pid})" for one in some)


def _namespace() -> str:
    try:
        return os.readlink(_PROC / "self" / "ns" / "pid")
    except OSError:
        return "-"
