"""A roofline in the place of Vidur's tables: an operator takes what its operations or its bytes need at least.

It stands in where there are no real files, so that code that reads the tables can run. It knows nothing of kernels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tables import OPERATORS, Sends

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FLOPS, BYTES_PER_S = 312e12, 2.039e12
"""Peaks of an A100-SXM4-80GB."""
LOSS, LAUNCH_MS = 1.25, 0.003
"""What a kernel takes above its roofline, and to start."""
HIDDEN, FFN = 4096, 11008
LINKS = {
    ("dgx", True): (10e-6, 200e9),
    ("dgx", False): (30e-6, 6e9),
    ("pairwise", True): (5e-6, 250e9),
    ("pairwise", False): (15e-6, 3e9),
}
"""Box and whether both GPUs are in one server → seconds before the first byte, bytes a second."""


def layer(among: int) -> tuple[NDArray[np.int64], dict[str, NDArray[np.float64]]]:
    """Tokens 1, 2, 4, … 4,096 and the ms of each operator, divided among so many GPUs."""
    import numpy as np

    tokens = 2 ** np.arange(13, dtype=np.int64)
    rows = tokens.astype(np.float64)
    products = {
        "qkv": (HIDDEN, 3 * HIDDEN // among),
        "o": (HIDDEN // among, HIDDEN),
        "gate_up": (HIDDEN, 2 * FFN // among),
        "down": (FFN // among, HIDDEN),
    }
    # Values that a simple kernel reads and writes for each token.
    passed = {
        "norm": 2 * HIDDEN,
        "rope": 4 * HIDDEN // among,
        "act": 3 * FFN // among,
        "add": 3 * HIDDEN,
    }
    ms = {name: _ms(2 * n * k * rows, 2 * (n * k + (n + k) * rows)) for name, (n, k) in products.items()}
    ms |= {name: _ms(0 * rows, 2 * values * rows) for name, values in passed.items()}
    return tokens, {name: ms[name] for name in OPERATORS}


def sends() -> tuple[Sends, ...]:
    """Sends of 2 KiB to 64 MiB in both boxes, as straight lines."""
    import numpy as np

    nbytes = 2 ** np.arange(11, 27, dtype=np.int64)
    return tuple(
        Sends(box, in_node, nbytes, 1000 * (latency + nbytes / speed))
        for (box, in_node), (latency, speed) in LINKS.items()
    )


def _ms(flops: NDArray[np.float64], nbytes: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return LAUNCH_MS + LOSS * 1000 * np.maximum(flops / FLOPS, nbytes / BYTES_PER_S)
