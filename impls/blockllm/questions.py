"""What the cluster's cases ask, as data. Importing this loads no numpy, so listing cases stays quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from remeasure.errors import UserError

from .sim.config import Serving
from .sim.systems import BLOCKLLM, PM

Workload = Literal["w1", "w2a", "w2b", "w3"]


@dataclass(frozen=True)
class Cell:
    """One serving system under one load."""

    serving: Serving = BLOCKLLM
    """The system."""
    workload: Workload = "w1"
    """w1: public requests, apps drawn by Zipf; w2a: ServeGen's clients with their own lengths; w2b: with Azure conv's;
    w3: synthetic bursts."""
    load: float = 1.0
    """w1: factor on the trace's own rate; the others: requests a second."""
    minutes: float = 5.0
    """Length of the trace."""
    apps: int = 20
    """Tenants; of w1 and w3."""
    alpha: float = 1.0
    """Skew of the tenants (Zipf); of w1 and w3."""
    cv: float = 4.0
    """Burstiness; of w3."""
    gpus: int = 12
    """A100s, server by server."""
    pe: float = 0.5
    """Share of the tenants fine-tuned by a small delta."""
    full: float = 0.25
    """Share of the tenants with all weights changed."""
    stack: Literal["vllm", "trtllm", "sglang"] = "trtllm"
    """Whose kernels the costs are of."""
    band: float = 1.0
    """Factor on all times of kernels."""
    cross_node: Literal["100g measured", "100g line", "25g", "nvlink"] = "100g measured"
    """The link between servers."""
    loader: Literal["host", "nvme", "slow"] = "host"
    """From where weights are loaded."""

    def __post_init__(self) -> None:
        if not 1 <= self.gpus <= 12:
            raise UserError(f"the cluster has 1 to 12 GPUs, not {self.gpus}; choose another gpus.")
        for name in ("load", "minutes", "apps", "cv", "band"):
            if not getattr(self, name) > 0:
                raise UserError(f"{name} has to be more than 0, not {getattr(self, name)}.")


@dataclass(frozen=True)
class Crossing:
    """The load from which one system's p95 is as much lower than another's as the paper says."""

    cell: Cell = field(default_factory=Cell)
    """The setting, with the first system; its load is not used."""
    baseline: Serving = PM
    """The second system."""
    loads: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0)
    """Where both are run; between them the logarithm of the ratio is a straight line."""
    ratio: float = 1.504
    """Of the p95s: 1 / (1 - 0.335)."""
