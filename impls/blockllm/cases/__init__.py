"""The measured questions about BlockLLM: those that this host answers itself, and those for the simulated cluster."""

from __future__ import annotations

from .cluster import (
    cluster_ablations,
    cluster_acceptance,
    cluster_bursts,
    cluster_costs,
    cluster_crossing,
    cluster_extra,
    cluster_full_share,
    cluster_gpus,
    cluster_granularity,
    cluster_hops,
    cluster_skew,
    cluster_w1,
    cluster_w2a,
    cluster_w2b,
)
from .models import batching, chain_time, fast_mode, zoo_dedup, zoo_speed
from .second import simulator_simpy
from .simulator import costs_layer, costs_links, costs_operators, simulator_scale, simulator_speed
from .steps import block_batches, dispatch_time, placement_time
from .storage import storage
from .study import equivalence, stitching_layers, stitching_widths
from .surrogates import speculation, surrogate_time, surrogates

__all__ = [
    "batching",
    "block_batches",
    "chain_time",
    "cluster_ablations",
    "cluster_acceptance",
    "cluster_bursts",
    "cluster_costs",
    "cluster_crossing",
    "cluster_extra",
    "cluster_full_share",
    "cluster_gpus",
    "cluster_granularity",
    "cluster_hops",
    "cluster_skew",
    "cluster_w1",
    "cluster_w2a",
    "cluster_w2b",
    "costs_layer",
    "costs_links",
    "costs_operators",
    "dispatch_time",
    "equivalence",
    "fast_mode",
    "placement_time",
    "simulator_scale",
    "simulator_simpy",
    "simulator_speed",
    "speculation",
    "stitching_layers",
    "stitching_widths",
    "storage",
    "surrogate_time",
    "surrogates",
    "zoo_dedup",
    "zoo_speed",
]
