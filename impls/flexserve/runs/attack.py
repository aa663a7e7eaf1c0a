"""What the case `attack` runs: another process, as root where this one is, tries to read weights in plaintext."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal

from remeasure.errors import UserError

from ..questions import Attack

MARKER = b"plaintext of a weight that nobody outside may see"


def attacked(config: Attack) -> Callable[[], dict[str, object]]:
    """What is returned attacks once and counts the ways that found the plaintext.

    It raises UserError where the same attack fails on ordinary memory, too: then its failure says nothing of secret
    pages.
    """
    from ..secure.attacker import attack
    from ..secure.pool import Pool

    def outcomes(protection: Literal["secret", "none"]) -> dict[str, dict[str, object]]:
        pool = Pool(1 << 16, protection)
        pool.touch(0, pool.nbytes)
        pool.view(0, len(MARKER))[:] = MARKER
        got = attack(os.getpid(), pool.address(), pool.nbytes, MARKER)
        pool.zero(0, pool.nbytes)
        pool.close()
        return got

    def run() -> dict[str, object]:
        got = outcomes(config.protection)
        control = got if config.protection == "none" else outcomes("none")
        if blunt := [way for way, found in control.items() if not found["found"]]:
            raise UserError(
                f"an attack by {blunt[0]} reads not even ordinary memory here, so it proves nothing; "
                "let this process be traced (Yama's ptrace_scope, or run as root)."
            )
        return {
            "ways that read plaintext": sum(bool(way["found"]) for way in got.values()),
            "extras": {"outcomes": got},
        }

    return run
