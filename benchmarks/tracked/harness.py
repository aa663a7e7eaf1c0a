"""What benchmarks use of the harness, whichever commit is installed: the names of today, else those before the rooms.

asv runs today's benchmarks against old commits; with today's names alone every one of them would fail.
"""

from remeasure.contracts import Arm, Case
from remeasure.data import open_data, simulator
from remeasure.records import TWIN_SUFFIX

try:
    from remeasure.data.locks import locked, timing_lock_path
    from remeasure.declared.overrides import at_profile
    from remeasure.declared.registry import registry
    from remeasure.running.measure import measure
except ModuleNotFoundError:
    from remeasure.locks import locked, timing_lock_path  # type: ignore[import-not-found, no-redef]
    from remeasure.measure import measure  # type: ignore[import-not-found, no-redef]
    from remeasure.overrides import at_profile  # type: ignore[import-not-found, no-redef]
    from remeasure.registry import registry  # type: ignore[import-not-found, no-redef]

__all__ = [
    "TWIN_SUFFIX",
    "Arm",
    "Case",
    "at_profile",
    "locked",
    "measure",
    "open_data",
    "registry",
    "simulator",
    "timing_lock_path",
]
