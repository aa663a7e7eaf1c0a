"""Time to move bytes: between GPUs of a server, between servers, and from storage into a GPU.

The in-node and cross-node numbers follow send_recv times measured on a DGX A100 (`vidur.py` compares them). They are
straight lines: inside a server, measured sends of 20 KB to 1 MB take up to twice as long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from remeasure.errors import UserError

CrossNode = Literal["100g measured", "100g line", "25g", "nvlink"]
Loader = Literal["host", "nvme", "slow"]


@dataclass(frozen=True)
class Link:
    """A way for bytes; nothing else uses it meanwhile."""

    latency_s: float
    """Time before the first byte arrives."""
    bytes_per_s: float
    """Speed from then on."""

    def seconds(self, nbytes: float) -> float:
        """Seconds until all of `nbytes` have arrived."""
        return self.latency_s + nbytes / self.bytes_per_s


IN_NODE = Link(8e-6, 230e9)
"""NVLink between two GPUs of a server."""
CROSS_NODES: dict[str, Link] = {
    "100g measured": Link(24e-6, 7.8e9),
    "100g line": Link(24e-6, 12.5e9),
    "25g": Link(24e-6, 25e9 / 8),
    "nvlink": IN_NODE,
}
"""Between servers: 100 Gb/s as measured and at line rate, 25 Gb/s at line rate, and as fast as inside one."""
LOADERS: dict[str, Link] = {"host": Link(0.0, 25e9), "nvme": Link(0.0, 5e9), "slow": Link(0.0, 1.7e9)}
"""Where weights come from: host memory, a local SSD, and a loader as slow as the ordinary ones that ServerlessLLM
reports (34 s for OPT-30B, 60 GB; 84 s for LLaMA-2-70B, 138 GB)."""


def cross_node(name: CrossNode) -> Link:
    """The link between servers of that name; UserError for another word."""
    return _named("link between servers", name, CROSS_NODES)


def loader(name: Loader) -> Link:
    """The way of weights into a GPU of that name; UserError for another word."""
    return _named("loader", name, LOADERS)


def _named(what: str, name: str, known: dict[str, Link]) -> Link:
    if name not in known:
        raise UserError(f"there is no {what} {name!r}; choose one of {', '.join(known)}.")
    return known[name]
