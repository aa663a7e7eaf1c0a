"""Configurations of the simulated serving systems (spec §2, §3, §6): one dataclass; a system or ablation is a value.

Plain data: importing this loads no numpy.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import inf
from typing import Literal, get_args, get_origin, get_type_hints

from remeasure.errors import UserError


@dataclass(frozen=True)
class Serving:
    """What a serving system does with blocks, batches, KV, memory and time."""

    # --- what is one unit
    share: Literal["none", "blocks", "family"] = "blocks"
    """none: every app has its own copy of its model; blocks: equal tensor groups are one block; family: every app of a
    family is served by the foundation's blocks, full fine-tunes too (no real system may: it is the bound)."""
    granularity: Literal["model", "segment", "layer", "half"] = "segment"
    """What is placed, batched and scaled alone: a whole model, a maximal run of groups with the same users, a layer, an
    attention or feed-forward half."""
    stages: int = 1
    """granularity=model, segment: runs of layers that each of these units is cut into, one after the other, as equal as
    whole layers allow; 1: it stays in one piece."""

    # --- batches
    order: Literal["returning_first", "fifo"] = "returning_first"
    """Within an instance: decoding requests before new prompts, or one queue."""
    age_s: float = 2.0
    """returning_first: the first prompt that has waited so long goes before the decoding ones."""
    turns: Literal["under_way_first", "round"] = "under_way_first"
    """Between the instances of a GPU: blocks within a chain before those that begin one, so that a step that has begun
    is finished before others begin; or all in turn."""
    batch: Literal["per_block", "global"] = "per_block"
    """per_block: the largest batch whose iteration takes at most (1 + gamma) × that of one row; global: max_batch."""
    gamma: float = 0.5
    """per_block: how much longer than with one row an iteration may take."""
    max_batch: int = 128
    """Rows of a batch at most, whatever the block."""
    prefill_tokens: int = 2048
    """Prompt tokens taken into one iteration at most; a longer prompt goes alone."""

    # --- where a request goes
    binding: Literal["early", "late"] = "early"
    """early: a request's first instance is chosen when it arrives; late: the first that has room takes it."""
    kv: Literal["cost", "owner", "random"] = "cost"
    """Which instance of a block serves the next step: the one with the least expected cost, the one that holds the KV
    cache, or any."""
    horizon: Literal["step", "answer"] = "answer"
    """kv=cost: what a request gains elsewhere is counted for its next step, or for as many as a mean answer has."""
    kv_move: Literal["cheaper", "transfer", "recompute"] = "cheaper"
    """How a KV cache comes to an instance that lacks it."""
    recompute: Literal["prefix", "boundary_cache"] = "prefix"
    """Recomputing a block's keys and values takes its inputs: from the chain's earlier blocks, or kept, one activation
    a token, beside the KV cache."""
    kv_reuse: Literal["same_block", "cross_variant"] = "same_block"
    """cross_variant: a substitute reads the KV cache of the block it stands in for (approximate)."""
    assembly: bool = True
    """Put an equivalent block into a chain where the planned one is congested or loading."""
    theta: float = 2.0
    """assembly: congested means a wait of more than theta × the time of the work itself."""
    substitutions: int = 1
    """assembly: blocks replaced in one chain at most."""
    substitute: Literal["start", "any"] = "start"
    """assembly: only before a request begins, or at any step."""

    # --- speculation
    speculation: Literal["off", "exact", "tolerant", "always"] = "tolerant"
    """exact: a surrogate chain drafts, the true chain verifies; tolerant: the upstream GPU runs a surrogate of a remote
    block, its result is checked when the true one arrives; always: it is never checked."""
    draft_tokens: int = 4
    """exact: tokens drafted before they are verified."""
    speculated: int = 1
    """tolerant, always: blocks of a chain that may have a surrogate, those with the costliest hops."""

    # --- placement and scaling
    placement: Literal["locality", "balanced", "round_robin", "random"] = "locality"
    """locality weighs traffic between blocks beside the balance of load, balanced does not."""
    swaps: int = 1000
    """Exchanges tried to improve a locality or balanced placement."""
    replica_share: float = 1.0
    """Share of the memory left after one copy of everything that further copies may take, at most: there are only as
    many as are expected to help."""
    kv_reserve: float = 0.3
    """Share of a GPU's memory that placement leaves to KV caches."""
    kv_headroom: float = 0.02
    """Share of a GPU's KV memory that must stay free when a prompt is taken in: room for the others to grow."""
    swap: bool = True
    """Blocks that do not fit wait in host memory and are exchanged for idle ones; else they are refused."""
    resident_models: int = 0
    """Instances whose weights a GPU holds at a time; 0: as many as fit."""
    scaling: bool = True
    """Add and remove instances while serving."""
    window_s: float = 5.0
    """scaling: seconds between decisions."""
    grow_after: int = 3
    """scaling: windows in a row with a mean queue delay above a full batch's time before a copy is added."""
    shrink_after: int = 10
    """scaling: windows in a row below shrink_below before a copy is drained."""
    shrink_below: float = 0.2
    """scaling: share of time an instance must be busy to stay."""

    # --- costs that no table gives, and inputs measured on the real models
    hop_overhead_us: float = 100.0
    """GPU time lost per iteration of a block that is not a whole model: gathering rows, launching."""
    delta_us_per_row_group: float = 3.0
    """GPU time, per layer, of every app in a batch that has a delta of its own."""
    acceptance: float = 0.49
    """Share of speculated tokens or outputs that are accepted; case `speculation`, relative error up to 0.08."""
    surrogate_time: float = 0.47
    """A surrogate's time as a share of the block's; its bytes too. Case `surrogate-time`, half of the channels."""
    equivalent_share: float = 0.48
    """Share of the directed pairs of same-place blocks that passed the equivalence test. Case `equivalence`, halves of
    layers; of whole segments none passed there, so read BlockLLM beside the ablation without adaptive assembly."""
    equivalent_kl: float = 0.0007
    """Mean KL of a substitution that passed, nat; case `equivalence`."""

    def __post_init__(self) -> None:
        hints = get_type_hints(Serving)
        for field in fields(self):
            value, kind = getattr(self, field.name), hints[field.name]
            if get_origin(kind) is Literal and value not in get_args(kind):
                known = ", ".join(map(str, get_args(kind)))
                raise UserError(f"{field.name} cannot be {value!r}; it is one of: {known}.")
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                raise UserError(f"{name} cannot be {getattr(self, name)}; it is from {low:g} to {high:g}.")
        if self.kv_reuse == "cross_variant" and self.substitute == "start":
            raise UserError(
                "kv_reuse=cross_variant needs substitute=any: before a request begins it has no KV cache."
            )


_RANGES: tuple[tuple[str, float, float], ...] = (
    ("stages", 1, 8),
    ("age_s", 0, inf),
    ("gamma", 0, inf),
    ("max_batch", 1, 8192),
    ("prefill_tokens", 1, 8192),
    ("theta", 0, inf),
    ("substitutions", 0, 64),
    ("draft_tokens", 1, 16),
    ("speculated", 0, 64),
    ("swaps", 0, 1_000_000),
    ("replica_share", 0, 1),
    ("kv_reserve", 0, 0.95),
    ("kv_headroom", 0, 0.5),
    ("resident_models", 0, 1024),
    ("window_s", 1e-3, inf),
    ("grow_after", 1, 1_000_000),
    ("shrink_after", 1, 1_000_000),
    ("shrink_below", 0, 1),
    ("hop_overhead_us", 0, inf),
    ("delta_us_per_row_group", 0, inf),
    ("acceptance", 0, 1),
    ("surrogate_time", 0, 1),
    ("equivalent_share", 0, 1),
    ("equivalent_kl", 0, inf),
)
