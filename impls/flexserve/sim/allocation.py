"""How long memory takes to get (June Table 1, Fig 1): one plain and one contiguous allocator over size and background.

Figure 1 measures both along two lines only: sizes at 8 GB of background, and backgrounds at 8 GB of size. Both rules
here give every point of the two lines exactly; how they continue between the lines is written where it is done.
Sizes are GiB, backgrounds are kept as printed (they behave as GiB), times are seconds.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from .calibration import Calibration
from .facts import CMA_THREADS, MEMORY_GIB

MS = 1e-3


class Curve:
    """Straight lines between points; the last line continues beyond the last, the first value before the first."""

    def __init__(self, x: Sequence[float], y: Sequence[float]) -> None:
        self.x, self.y = list(x), list(y)
        self.slopes = [
            (y1 - y0) / (x1 - x0)
            for x0, x1, y0, y1 in zip(self.x, self.x[1:], self.y, self.y[1:], strict=False)
        ]

    def __call__(self, at: float) -> float:
        if at <= self.x[0]:
            return self.y[0]
        index = min(bisect_right(self.x, at), len(self.slopes)) - 1
        return self.y[index] + self.slopes[index] * (at - self.x[index])


@dataclass(frozen=True)
class _Lines:
    """One allocator's two lines of Figure 1, with the point both share taken from where it is printed exactly."""

    size: Curve
    background: Curve
    at_size: float
    """Size of the line over backgrounds, GiB."""
    at_background: float
    """Background of the line over sizes, GB."""

    @classmethod
    def of(cls, calibration: Calibration, allocator: str, exact_s: float) -> _Lines:
        sizes, backgrounds = (calibration.entry(f"fig1{part}.{allocator}") for part in "ab")
        at_size, at_background = backgrounds.size_GB or 0.0, sizes.background_GB or 0.0

        def line(id: str, shared: float) -> tuple[Sequence[float], list[float]]:
            x, y = calibration.points(id)
            return x, [exact_s if here == shared else value for here, value in zip(x, y, strict=True)]

        x, y = line(sizes.id, at_size)
        # Nothing takes no time: below the smallest size of the figure the time shrinks in proportion.
        by_size = Curve((0.0, *x), (0.0, *y))
        return cls(by_size, Curve(*line(backgrounds.id, at_background)), at_size, at_background)


class Pages:
    """Ordinary pages (mmap), and recallable ones, which are ordinary pages taken out of the normal world's tables.

    Between the lines of Figure 1 a time per GiB is read where as much memory is in use (size + background), on either
    line, and weighted by how near each line is: plain allocation is slow only where memory runs short.
    """

    def __init__(self, calibration: Calibration) -> None:
        ordinary_s = calibration.value("text.mmap_8GB")
        self.lines = lines = _Lines.of(calibration, "mmap", ordinary_s)
        self.protection = calibration.value("table1.alloc_8GiB.flexserve") * MS / ordinary_s
        """Recallable over ordinary time."""
        self.rate_by_background = Curve(
            [lines.at_size + p for p in lines.background.x], [t / lines.at_size for t in lines.background.y]
        )
        self.rate_by_size = Curve(
            [s + lines.at_background for s in lines.size.x[1:]],
            [t / s for s, t in zip(lines.size.x[1:], lines.size.y[1:], strict=True)],
        )

    def ordinary_s(self, gib: float, background_gb: float) -> float:
        """Seconds to get `gib` of ordinary memory."""
        lines = self.lines
        if background_gb == lines.at_background:
            return lines.size(gib)
        used = gib + background_gb
        far_from_sizes = abs(background_gb - lines.at_background)
        far_from_backgrounds = abs(gib - lines.at_size)
        if used < self.rate_by_size.x[0]:
            far_from_backgrounds = 0.0
        by_background = self.rate_by_background(used) * far_from_sizes
        by_size = self.rate_by_size(used) * far_from_backgrounds
        return gib * (by_background + by_size) / (far_from_sizes + far_from_backgrounds)

    def recallable_s(self, gib: float, background_gb: float) -> float:
        """Seconds to get `gib` and protect it."""
        return self.protection * self.ordinary_s(gib, background_gb)


class Region:
    """A contiguous region (CMA): what the background holds inside must be moved away first.

    Cost = pages taken + pages moved. How many are moved where both size and background are small is not measured:
    spread background fills each GiB of the region alike, packed background fills its beginning. The assumption
    `cma_packed` mixes the two.
    """

    def __init__(self, calibration: Calibration) -> None:
        self.lines = lines = _Lines.of(calibration, "cma", calibration.value("table1.alloc_8GiB.cma") * MS)
        self.empty_s_per_gib = lines.background.y[0] / lines.at_size
        self.packed = calibration.assumed["cma_packed"]

    def serial_s(self, gib: float, background_gb: float) -> float:
        """Seconds to claim a region of `gib` with one thread, as Strawman and Strawman-OPT do."""
        lines = self.lines
        by_size = lines.size(gib) - self.empty_s_per_gib * gib
        none = lines.background(0.0)
        by_background = lines.background(background_gb) - none
        full = lines.background(lines.at_background) - none
        spread = by_size * by_background / full
        beyond = background_gb - lines.at_background
        if beyond > 0:
            # More background than the line over sizes has: only what no longer fits beside the region costs more.
            short = min(1, max(0, gib + background_gb - MEMORY_GIB.value) / beyond)
            packed = by_size + short * (by_background - full)
        else:
            packed = min(by_size, by_background, full) * max(1, by_size / full)
        return self.empty_s_per_gib * gib + self.packed * packed + (1 - self.packed) * spread

    def overlapped_s(self, gib: float, background_gb: float, threads: int) -> float:
        """The same claimed in small pieces by one or four threads, as TZ-LLM does: faster by its measured ratio.

        With one thread both papers agree: TZ-LLM's 8 GB at 6 GB of background take what Figure 1b says.
        """
        return self.serial_s(gib, background_gb) * CMA_THREADS[1].value / CMA_THREADS[threads].value
