"""Memory-sensitive applications that share the device with inference (June §7.5, Fig 10): a declared working-set curve.

An application wants its whole working set. What it does not get is missed by some of its accesses, and its operations
take longer. Only sysbench has a published anchor (throughput with and without 8 GB withheld, June §2.2); the curves of
pgbench, memtier and app-startup are assumptions of ours. Not modelled: the time to read back what was evicted once
memory is there again, traffic on the memory bus, migration beside a running application.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import pow

from remeasure.errors import UserError

from .assumptions import Assumptions
from .calibration import Calibration

NAMES = ("sysbench", "pgbench", "memtier", "app-startup")
ANCHORED = "sysbench"


@dataclass(frozen=True)
class App:
    """One application."""

    name: str
    working_set: float
    """GiB it uses while it runs."""
    file_share: float
    """Share of that which is file cache: dropped where its own data would have to be swapped out."""
    full_miss_slowdown: float
    """Times an operation takes as long with nothing of the working set in memory as with all of it."""
    shape: float
    """Share of accesses that miss = (missing share of the working set) ^ shape; 1: all of it is used evenly."""

    def relative(self, missing: float) -> float:
        """Throughput with `missing` GiB of the working set out of memory, 1 with none."""
        share = min(1, max(0, missing) / self.working_set)
        return 1 / (1 + (self.full_miss_slowdown - 1) * pow(share, self.shape))


@dataclass(frozen=True, slots=True)
class AppRun:
    """An application that runs on its own, as requests do: it begins once everything before it has ended."""

    at_s: float
    app: App | None
    """None: nothing runs, the device is left alone for that long."""
    duration_s: float


def declared(
    names: Iterable[str], assumptions: Assumptions, calibration: Calibration, device_gib: float
) -> dict[str, App]:
    """The applications by name, on a device with that much memory."""
    return {name: _app(name, assumptions, calibration, device_gib) for name in names}


def _app(name: str, assumptions: Assumptions, calibration: Calibration, device_gib: float) -> App:
    def assumed(field: str) -> float:
        return assumptions.value(f"{name}.{field}")

    working_set, shape = assumed("working_set_gib"), assumed("shape")
    slowdown = (
        _anchored_slowdown(calibration, working_set, shape, device_gib)
        if name == ANCHORED
        else assumed("full_miss_slowdown")
    )
    return App(name, working_set, assumed("file_share"), slowdown, shape)


def _anchored_slowdown(
    calibration: Calibration, working_set: float, shape: float, device_gib: float
) -> float:
    """The slowdown with which the curve passes through the published pair of throughputs."""
    (_, withheld), (alone, squeezed) = calibration.points("text.sysbench_tps")
    missing = working_set - (device_gib - withheld)
    if missing <= 0:
        raise UserError(
            f"a working set of {working_set} GiB misses nothing when {withheld} GB are withheld; "
            f"raise {ANCHORED}.working_set_gib."
        )
    return 1 + (alone / squeezed - 1) / pow(missing / working_set, shape)
