"""What a machine says of itself that makes times wander: governor, turbo, ASLR; and time stolen by its host."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

STEAL = 8
"""Which word of the first line of /proc/stat counts ticks that the host gave to others, the name `cpu` being word 0."""


def settings(cpu: Path, kernel: Path) -> dict[str, str]:
    """Governor, turbo and ASLR by name, those of them that the machine shows. The folders are /sys's and /proc's."""
    found = {
        "governor": _text(cpu / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(cpu),
        "ASLR": {"0": "off", "1": "partly", "2": "on"}.get(_text(kernel / "randomize_va_space"), ""),
    }
    return {name: value for name, value in found.items() if value}


def stolen_s(stat: Path = Path("/proc/stat")) -> float:
    """Seconds since the start that a virtual machine's host gave to others, over all cores; 0 where it is not said."""
    with suppress(OSError, IndexError, ValueError):
        return int(stat.read_text().splitlines()[0].split()[STEAL]) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _turbo(cpu: Path) -> str:
    """Intel says what is off, the others what is on."""
    if no_turbo := _text(cpu / "intel_pstate/no_turbo"):
        return "off" if no_turbo == "1" else "on"
    return {"0": "off", "1": "on"}.get(_text(cpu / "cpufreq/boost"), "")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
