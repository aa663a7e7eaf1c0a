"""Pipeline planning (June §5.1): from what a model still lacks in memory to operations and what each waits for.

Backends only execute: the host with threads, the device model in virtual time. The order of the list is the order in
which operations on the same resource are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..config import System

Kind = Literal["alloc", "load", "decrypt", "compute"]
CHUNK_BYTES = {"layer": None, "16 MiB": 16 << 20, "4 MiB": 4 << 20, "64 KiB": 64 << 10}


@dataclass(frozen=True)
class Part:
    """What is computed as one step: a layer, the embedding or the head."""

    nbytes: int
    """Bytes of weights that must be in memory before it is computed; 0 where it shares an earlier part's weights."""
    cached: bool = False
    """They are in memory already."""


@dataclass(frozen=True)
class Op:
    """One operation; `after` are indices of earlier operations that must have ended."""

    kind: Kind
    part: int
    offset: int
    """First byte of the part that it covers; 0 for compute."""
    nbytes: int
    after: tuple[int, ...]


def plan(parts: Sequence[Part], system: System) -> list[Op]:
    """Operations of one prefill, alloc → load → decrypt → compute inside a part, compute in the parts' order.

    Without overlap every operation waits for the one before it, and stages follow each other over the whole model.
    `cma` is one allocation of everything that is missing, before all else. A part that is cached is only computed.
    """
    ops: list[Op] = []

    def add(kind: Kind, part: int, offset: int, nbytes: int, *after: int) -> int:
        ops.append(Op(kind, part, offset, nbytes, after))
        return len(ops) - 1

    missing = [index for index, part in enumerate(parts) if part.nbytes and not part.cached]
    if not system.overlap:
        return _one_after_the_other(parts, missing, system)
    region: tuple[int, ...] = ()
    if system.alloc == "cma" and missing:
        region = (add("alloc", missing[0], 0, sum(parts[i].nbytes for i in missing)),)
    computed: tuple[int, ...] = ()
    lacking = frozenset(missing)
    for index, part in enumerate(parts):
        ready: list[int] = []
        if index in lacking:
            for offset, nbytes in chunks(part.nbytes, system):
                start = region
                if system.alloc != "cma":
                    start = (add("alloc", index, offset, nbytes),)
                last = add("load", index, offset, nbytes, *start)
                if system.crypto == "software":
                    last = add("decrypt", index, offset, nbytes, last)
                ready.append(last)
        computed = (add("compute", index, 0, 0, *computed, *ready),)
    return ops


def chunks(nbytes: int, system: System) -> list[tuple[int, int]]:
    """(offset, size) of the pieces that a part is loaded and decrypted in."""
    size = CHUNK_BYTES[system.granularity] or nbytes
    return [(offset, min(size, nbytes - offset)) for offset in range(0, nbytes, size)]


def _one_after_the_other(parts: Sequence[Part], missing: Sequence[int], system: System) -> list[Op]:
    stages: list[tuple[Kind, int, int, int]] = []
    if system.alloc == "cma" and missing:
        stages.append(("alloc", missing[0], 0, sum(parts[i].nbytes for i in missing)))
    elif missing:
        stages += [("alloc", i, offset, n) for i in missing for offset, n in chunks(parts[i].nbytes, system)]
    stages += [("load", i, offset, n) for i in missing for offset, n in chunks(parts[i].nbytes, system)]
    if system.crypto == "software":
        stages += [
            ("decrypt", i, offset, n) for i in missing for offset, n in chunks(parts[i].nbytes, system)
        ]
    stages += [("compute", index, 0, 0) for index in range(len(parts))]
    return [
        Op(kind, part, offset, nbytes, (at - 1,) if at else ())
        for at, (kind, part, offset, nbytes) in enumerate(stages)
    ]
