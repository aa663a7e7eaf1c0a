"""The machines (spec §4, S-1): servers with GPUs, which link joins two of them, where weights come from."""

from __future__ import annotations

from dataclasses import dataclass, replace

from remeasure.errors import UserError

from .cost.gpu import A100
from .cost.network import IN_NODE as NVLINK
from .cost.network import CrossNode, Link, Loader, cross_node, loader

SAME_GPU, IN_NODE, CROSS_NODE = 0, 1, 2
"""What lies between two GPUs; an index into lists by link."""


@dataclass(frozen=True)
class Cluster:
    """Servers in order, each with so many equal GPUs."""

    gpus_per_server: tuple[int, ...] = (4, 4, 2, 2)
    gpu_bytes: float = A100.usable_bytes
    """Memory of one GPU for weights and KV caches."""
    cross_node: CrossNode | Link = "100g line"
    """Between servers."""
    in_node: Link = NVLINK
    """Between GPUs of a server."""
    loader: Loader | Link = "host"
    """From where weights are loaded."""

    def __post_init__(self) -> None:
        if not self.gpus_per_server or min(self.gpus_per_server) < 1:
            raise UserError("a cluster needs at least one server, and every server at least one GPU.")

    @property
    def gpus(self) -> int:
        return sum(self.gpus_per_server)

    @property
    def server_of(self) -> tuple[int, ...]:
        """Server of every GPU."""
        return tuple(server for server, count in enumerate(self.gpus_per_server) for _ in range(count))

    @property
    def links(self) -> tuple[Link, Link, Link]:
        """By SAME_GPU, IN_NODE, CROSS_NODE."""
        cross = self.cross_node if isinstance(self.cross_node, Link) else cross_node(self.cross_node)
        return Link(0.0, float("inf")), self.in_node, cross

    @property
    def loading(self) -> Link:
        return self.loader if isinstance(self.loader, Link) else loader(self.loader)

    def between(self) -> list[list[int]]:
        """SAME_GPU, IN_NODE or CROSS_NODE by GPU and GPU."""
        servers = self.server_of
        return [
            [SAME_GPU if a == b else IN_NODE if s == t else CROSS_NODE for b, t in enumerate(servers)]
            for a, s in enumerate(servers)
        ]

    def with_gpus(self, gpus: int) -> Cluster:
        """The first so many GPUs, server by server; raises UserError if there are fewer."""
        if not 1 <= gpus <= self.gpus:
            raise UserError(f"the cluster has 1 to {self.gpus} GPUs, not {gpus}.")
        taken: list[int] = []
        for count in self.gpus_per_server:
            if gpus:
                taken.append(min(count, gpus))
                gpus -= taken[-1]
        return replace(self, gpus_per_server=tuple(taken))


A100_12 = Cluster()
"""Two servers with four A100-80GB and two with two, 100 Gb/s between them."""
