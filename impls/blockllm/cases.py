"""The measured questions about BlockLLM: those that this host answers itself, and those for the simulated cluster."""

from __future__ import annotations

from .cases_cluster import (
    cluster_ablations,
    cluster_bursts,
    cluster_costs,
    cluster_crossing,
    cluster_full_share,
    cluster_gpus,
    cluster_hops,
    cluster_skew,
    cluster_w1,
    cluster_w1_ratio,
    cluster_w2a,
    cluster_w2a_ratio,
    cluster_w2b,
    cluster_w2b_ratio,
)
from .cases_models import batching, chain_time, fast_mode, zoo_dedup, zoo_speed
from .cases_simulator import costs_layer, costs_links, costs_operators, simulator_scale, simulator_speed

__all__ = [
    "batching",
    "chain_time",
    "cluster_ablations",
    "cluster_bursts",
    "cluster_costs",
    "cluster_crossing",
    "cluster_full_share",
    "cluster_gpus",
    "cluster_hops",
    "cluster_skew",
    "cluster_w1",
    "cluster_w1_ratio",
    "cluster_w2a",
    "cluster_w2a_ratio",
    "cluster_w2b",
    "cluster_w2b_ratio",
    "costs_layer",
    "costs_links",
    "costs_operators",
    "fast_mode",
    "simulator_scale",
    "simulator_speed",
    "zoo_dedup",
    "zoo_speed",
]
