"""A second measurement of the same GPU beside ours: the tables that the simulator Vidur publishes (MIT).

They were taken with other kernels on another machine, so what differs between the two is what a cost table can be off
by: reason enough for a band of ±20 % around every simulated result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from remeasure.datasets.vidur_a100.tables import Tables

from .costs import Costs
from .model import GEMMS
from .network import CROSS_NODES, IN_NODE, Link
from .shapes import LLAMA_7B

TOKENS = (1, 64, 256, 1024, 2048, 4096)
BYTES = (2**13, 2**16, 2**19, 2**21, 2**24, 2**26)
"""A hidden state of one row, of 8, 64, 256 and 2,048, and keys and values of a segment: powers of two of bytes."""


@dataclass(frozen=True)
class Row:
    """One time in both tables."""

    what: str
    """Operator of a layer, `layer` for the four products together, or box and link of a transfer."""
    size: int
    """Tokens, or bytes of a transfer."""
    ours_ms: float
    theirs_ms: float

    @property
    def relative(self) -> float:
        """How much longer ours is, as a share of theirs."""
        return self.ours_ms / self.theirs_ms - 1


def products(costs: Costs, tables: Tables, tokens: Sequence[int] = TOKENS) -> list[Row]:
    """The four matrix products of a layer of the 7B model, each and together, at some of Vidur's token counts."""
    rows, ours = [], costs.of(LLAMA_7B).by_rows
    for size in tokens:
        (at,) = np.flatnonzero(tables.tokens == size)
        each = [Row(part, size, float(ours[part][size]), float(tables.ms[part][at])) for part in GEMMS]
        rows += [
            *each,
            Row("layer", size, sum(row.ours_ms for row in each), sum(row.theirs_ms for row in each)),
        ]
    return rows


def transfers(tables: Tables, sizes: Sequence[int] = BYTES) -> list[Row]:
    """Our links against sends between two GPUs, at the measured sizes that are nearest to `sizes`."""
    return list(_transfers(tables, sizes))


def _transfers(tables: Tables, sizes: Sequence[int]) -> Iterator[Row]:
    for sends in tables.sends:
        links: dict[str, Link] = {"in node": IN_NODE}
        if not sends.in_node:
            links = {
                f"cross node, {name}": link for name, link in CROSS_NODES.items() if name.startswith("100g")
            }
        for name, link in links.items():
            for size in sizes:
                at = int(np.abs(sends.nbytes - size).argmin())
                nbytes = int(sends.nbytes[at])
                yield Row(f"{sends.box}, {name}", nbytes, 1000 * link.seconds(nbytes), float(sends.ms[at]))
