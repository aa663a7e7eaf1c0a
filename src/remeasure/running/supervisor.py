"""The process between a run and a block's worker: nothing that the worker starts outlives it.

`python -m remeasure.running.supervisor ASKER HELD... -- COMMAND...` runs COMMAND, and ends all that came of it as soon
as COMMAND ends, SIGTERM comes, or ASKER, the process that started it, is gone, however that went. What loses its
parent becomes the supervisor's child, and all of it carries the block's mark. HELD are file descriptors that only the
supervisor keeps, such as the timing lock's: it stays locked until everything has ended.

It ends as COMMAND did, with the same code or by the same signal. Where it is killed itself, the kernel kills COMMAND;
the rest is left to the run, or to the next one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Iterator
from typing import NoReturn

from ..errors import UserError
from ..processes import MARK, Process, descendants, end, marked, name_of

NOT_STARTED = 71
"""Exit code where it cannot do its work: EX_OSERR."""

_PARENT_DEATH_SIGNAL, _CHILD_SUBREAPER = 1, 36
"""Options of prctl, from linux/prctl.h."""
_AWAITED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


def main() -> None:
    division = sys.argv.index("--")
    asker, *held = map(int, sys.argv[1:division])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    try:
        prctl(_CHILD_SUBREAPER, 1)
        die_with(asker, signal.SIGTERM)
    except OSError as error:
        sys.exit(_not_started(error))
    for descriptor in held:
        os.set_inheritable(descriptor, False)
    mark = name_of(os.getpid())
    worker = _start(sys.argv[division + 1 :], mark, before)
    status = _wait(worker)
    try:
        end(lambda: _of_this_block(mark))
    except UserError as error:
        print(error, file=sys.stderr)
    _end_as(status)


def prctl(option: int, value: int) -> None:
    """Raises OSError where the system has no such call, or refuses it."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "prctl", None)
    if call is None:
        raise OSError("it has no prctl")
    if call(option, value, 0, 0, 0) != 0:
        raise OSError(os.strerror(ctypes.get_errno()))


def die_with(parent: int, number: signal.Signals) -> None:
    """Be sent `number` as soon as the parent is gone, even where it went just now."""
    prctl(_PARENT_DEATH_SIGNAL, number)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def _not_started(error: OSError) -> int:
    print(
        f"Blocks cannot be run: this system does not let remeasure end what a block starts ({error}). "
        "Run it on Linux, outside a sandbox that forbids prctl.",
        file=sys.stderr,
    )
    return NOT_STARTED


def _start(command: list[str], mark: str, mask: set[int | signal.Signals]) -> int:
    supervisor = os.getpid()
    if worker := os.fork():
        return worker
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        die_with(supervisor, signal.SIGKILL)
        os.execve(command[0], command, {**os.environ, MARK: mark})
    except OSError as error:
        print(f"{command[0]} cannot be started ({error.strerror}).", file=sys.stderr)
    finally:
        os._exit(NOT_STARTED)


def _wait(worker: int) -> int:
    """The status that the worker ended with, or that of one ended by the signal that the supervisor was sent."""
    while (number := signal.sigwait(_AWAITED)) == signal.SIGCHLD:
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            if ended[0] == worker:
                return ended[1]
    return int(number)


def _of_this_block(mark: str) -> Iterator[Process]:
    yield from marked(mark)
    yield from descendants(os.getpid())


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
