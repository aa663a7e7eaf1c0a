"""The simulated GPU: what an A100-SXM4-80GB can do at most, and what of its memory serves models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Gpu:
    """Limits of one GPU."""

    memory_bytes: float = 80e9
    """Memory, counted in powers of ten: the device has 7 % more, which this leaves as a margin."""
    reserve_bytes: float = 3.5e9
    """What the serving stack itself keeps: activations, graphs, buffers of the links."""
    peak_flops: float = 312e12
    """Dense fp16 operations a second with tensor cores; a multiplication and its addition are two."""
    peak_bytes_per_s: float = 2.039e12
    """Bandwidth of its memory."""
    reachable: float = 0.8
    """Share of that bandwidth which simple kernels reach, as the tables' publisher has it."""

    @property
    def usable_bytes(self) -> float:
        """Room for weights and KV cache."""
        return self.memory_bytes - self.reserve_bytes


A100 = Gpu()
