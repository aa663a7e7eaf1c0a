"""The fewest points from which straight lines give back a curve: how long tables become short ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def knots(x: NDArray[np.int64], y: NDArray[np.float64], tolerance: float) -> list[int]:
    """Indices, ascending, whose straight lines lie within a share `tolerance` of every y (Douglas and Peucker).

    x [n] ascends, y [n] is above 0, n is at least 1; both ends are always among them.
    """
    import numpy as np

    kept, open_ = {0, len(x) - 1}, [(0, len(x) - 1)]
    while open_:
        first, last = open_.pop()
        line = np.interp(x[first : last + 1], x[[first, last]], y[[first, last]])
        off = np.abs(line / y[first : last + 1] - 1)
        worst = first + int(off.argmax())
        if off[worst - first] > tolerance:
            kept.add(worst)
            open_ += [(first, worst), (worst, last)]
    return sorted(kept)
