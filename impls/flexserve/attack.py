"""What the case `attack` runs: another process, as root where this one is, tries to read weights in plaintext."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

MARKER = b"plaintext of a weight that nobody outside may see"


@dataclass(frozen=True)
class Attack:
    """Memory that holds plaintext while it is attacked."""

    protection: Literal["secret", "none"] = "secret"
    """secret: memfd_secret; none: ordinary memory, where the attack must succeed, or it proves nothing."""


def attacked(config: Attack) -> Callable[[], dict[str, object]]:
    """What is returned attacks once and counts the ways that found the plaintext."""
    from .secure.attacker import attack
    from .secure.pool import Pool

    def run() -> dict[str, object]:
        pool = Pool(1 << 16, config.protection)
        pool.touch(0, pool.nbytes)
        pool.view(0, len(MARKER))[:] = MARKER
        got = attack(os.getpid(), pool.address(), pool.nbytes, MARKER)
        pool.zero(0, pool.nbytes)
        pool.close()
        return {
            "ways that read plaintext": sum(bool(way["found"]) for way in got.values()),
            "extras": {"outcomes": got},
        }

    return run
