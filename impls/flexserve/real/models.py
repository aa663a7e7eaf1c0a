"""What a host run is made of: its configuration and the model it serves; importing this does not load torch.

The host computes on its CPU: it has no NPU, no stage-2 page table and no SMMU, so of a `System` only memory, overlap,
granularity, cipher and cache matter here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from remeasure.errors import UserError

from ..config import System

if TYPE_CHECKING:
    from remeasure.impls.common.llama import LlamaConfig, Weights

MODELS = ("smollm2-135m", "small", "micro")
"""SmolLM2-135M-Instruct; about 30 million random weights in 8 layers; 2 tiny layers for tests."""


@dataclass(frozen=True)
class HostRun:
    """One serving process on the host."""

    system: System = field(default_factory=System)
    """Which parts of the mechanism are on."""
    model: str = "smollm2-135m"
    """One of MODELS."""
    prompt_tokens: int = 128
    """Longest prompt that the KV cache has room for."""
    new_tokens: int = 16
    """Tokens that the KV cache has room for after it."""
    protection: Literal["secret", "none"] = "secret"
    """secret: weights, KV and staging after decryption lie in memfd_secret pages where the system is protected and its
    memory need not be contiguous; none: in ordinary memory, and labelled so."""
    pool: Literal["warm", "cold"] = "warm"
    """warm: pages are owned from the start, as a serving system keeps them; cold: every request takes fresh pages, and
    gives them back."""
    cached_parts: int = 0
    """cache=cooperative: how many parts (embedding, layers, head) stay in memory between requests."""
    compute_threads: Literal[1, 2] = 1
    """Threads torch computes with."""
    read: Literal["direct", "buffered"] = "direct"
    """direct: past the page cache; buffered: through it, with the pages dropped before each read."""
    throttle_read: float = 0.0
    """MB/s that reading is slowed to; 0 is as fast as the storage."""
    seed: int = 2026
    """Of the random weights."""


@dataclass(frozen=True)
class Model:
    """A model that can be prepared and served."""

    name: str
    config: LlamaConfig
    fingerprint: str
    """Another one wherever the weights differ."""
    weights: Callable[[], list[Weights]]
    """Reads or draws them, part by part."""


def model(run: HostRun) -> Model:
    """The model a run names; raises UserError for an unknown name, or where its weights are not installed."""
    from remeasure.impls.common import llama, smollm

    if run.model == "smollm2-135m":
        digest = hashlib.sha256(smollm.locate().read_bytes()).hexdigest()
        return Model(run.model, llama.SMOLLM2_135M, digest, smollm.load)
    shapes = {"small": llama.SMALL, "micro": llama.MICRO}
    if run.model not in shapes:
        raise UserError(f"no model is called {run.model!r}; give one of {', '.join(MODELS)}.")
    config = shapes[run.model]
    return Model(
        run.model, config, f"{config} seed {run.seed}", lambda: llama.random_weights(config, run.seed)
    )
