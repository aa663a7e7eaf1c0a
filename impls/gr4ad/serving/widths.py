"""Beam widths, one a level: those of the paper, and the same ones scaled (§5)."""

from __future__ import annotations

from collections.abc import Sequence

Widths = tuple[int, ...]

FIXED: Widths = (512, 512, 512)
"""As wide at every level."""
DYNAMIC: Widths = (128, 256, 512)
"""Narrow where few beams are needed, and as wide as FIXED in the end."""


def scaled(widths: Sequence[int], factor: float, codes: Sequence[int]) -> Widths:
    """Every width times a factor, rounded, at least 1, and at most what the beams before it can become.

    `codes` are the codes of each level, as many as there are widths; beams of the result can always be filled.
    """
    result: list[int] = []
    beams = 1
    for width, size in zip(widths, codes, strict=True):
        beams = max(1, min(round(width * factor), beams * size))
        result.append(beams)
    return tuple(result)
