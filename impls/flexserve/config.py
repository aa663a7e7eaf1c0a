"""Configurations of FlexServe's implementations: one dataclass, and every system and ablation is a value of it.

Plain data: importing this loads neither torch nor cryptography.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Alloc = Literal["mmap", "cma", "cma overlapped", "flex"]
Crypto = Literal["none", "software", "inline"]
Cache = Literal["none", "always", "timeout", "cooperative"]
Kept = Literal["prefix", "lru", "random"]


@dataclass(frozen=True)
class System:
    """What a serving system does with memory, compute, cipher and cache (June §3, §4, §5, §7.1)."""

    alloc: Alloc = "flex"
    """mmap: unprotected pages; cma: a contiguous region, claimed whole before anything else (page migration, then
    TZASC); cma overlapped: the same in small preemptible pieces beside loading (TZ-LLM); flex: recallable pages."""
    alloc_threads: Literal[1, 4] = 1
    """Threads that migrate pages; of `cma overlapped` only."""
    compute: Literal["cpu", "npu"] = "npu"
    """Where prefill and decoding run on the device; the host has only its CPU."""
    overlap: bool = True
    """Load, decrypt and compute of different layers at the same time; else whole model, stage by stage."""
    granularity: Literal["layer", "16 MiB", "4 MiB", "64 KiB"] = "layer"
    """What one load or decryption of the pipeline holds."""
    crypto: Crypto = "software"
    """none: plain weights; software: CPU cores decrypt; inline: a crypto engine on the way from the flash decrypts for
    nothing (the paper emulates it: +NoDec)."""
    authenticated: bool = True
    """AES-256-GCM; False: AES-256-CTR without tags (the papers show no authentication of weights)."""
    protected: bool = True
    """Pages with plaintext are out of the normal world's reach."""
    cache: Cache = "none"
    """What of a model's weights stays in memory between requests. always and timeout keep whole models."""
    timeout_s: float = 60.0
    """cache=timeout: seconds of idleness after which a model is released."""
    kept: Kept = "prefix"
    """cache=cooperative: which layers are kept inside a model's budget."""
    budgets: Literal["invocations", "uniform"] = "invocations"
    """cache=cooperative: a model's share by its rate, frequency and prompt length, or equal shares."""
    prefetch: bool = False
    """Load the next models of a recognised workflow while the current one decodes (§5.2)."""
    two_stage: bool = True
    """Reclaim: take cheap pages at once, rebuild the cache afterwards."""
    async_reclaim: bool = True
    """Reclaim: return after selection; pages are claimed, and scrubbed afterwards."""
    on_demand: bool = False
    """Stage-2 page tables off while nothing is protected; excludes a cache that holds anything."""

    def __post_init__(self) -> None:
        if self.on_demand and self.cache != "none":
            raise ValueError(
                "on_demand needs cache='none': cached weights and protection switched off exclude each other"
            )
