"""The peak of this process's resident memory, read from Linux without slowing anything down."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from remeasure.errors import UserError

PROC = Path("/proc/self")


def peak_mb(work: Callable[[], object]) -> float:
    """MB by which resident memory rose above where it stood, at most, while `work` ran.

    Memory that the allocator kept from before is reused without rising. Raises UserError where the kernel does not
    let a process reset its high-water mark (anything but Linux).
    """
    try:
        (PROC / "clear_refs").write_text("5")
        before = _kb("VmRSS")
        work()
        return max(0.0, (_kb("VmHWM") - before) / 1024)
    except OSError as error:
        raise UserError(
            f"peak memory cannot be read here ({error.strerror}); leave such cases out."
        ) from None


def _kb(field: str) -> int:
    lines = (PROC / "status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field + ":"))
