"""The systems of spec §3 as configurations; every other arm is one of these with fields replaced."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from remeasure.errors import UserError

from .config import Serving

BLOCKLLM = Serving()
"""The paper's system with every mechanism of spec §2."""

PM = Serving(
    share="none",
    granularity="model",
    batch="global",
    max_batch=64,
    kv="owner",
    assembly=False,
    speculation="off",
    placement="balanced",
    scaling=False,
    hop_overhead_us=0.0,
    delta_us_per_row_group=0.0,
)
"""Per-model provisioning: every app its own weights, queue, batches and KV. Batch, copies and queue are to be tuned."""

PS = replace(PM, share="blocks", delta_us_per_row_group=BLOCKLLM.delta_us_per_row_group)
"""Parameter sharing: apps that differ from a foundation by a small delta share its weights and batches."""

LLUMNIX = replace(PM, kv="cost", horizon="answer", kv_move="transfer")
"""After Llumnix (OSDI '24): PM whose running requests move between the copies of their model, KV cache and all.

Taken from it: requests go to the freest copy when they come, and on to a freer one later, whenever as many steps as a
mean answer has are expected to gain more than the copy of the cache costs. Not taken: a request stands still while its
cache is copied, where Llumnix goes on decoding and copies in rounds; moving is decided after every step instead of
periodically; there are no priorities, no moves against fragmented memory, and the number of copies is fixed.
"""

ALPASERVE = replace(PM, stages=2, placement="locality")
"""After AlpaServe (OSDI '23): PM whose models are cut into stages of a pipeline, so that a GPU serves parts of several
models and a burst for one of them finds several GPUs.

Taken from it: static placement before serving, stages and copies placed one by one, several batches of a model under
way in different stages. Not taken: its search is guided by simulations of the workload, this one by the queueing
estimate that places all systems here (`placement.py`), with the way from stage to stage; stages are equal in layers,
not balanced by time; one number of stages holds for all models, and which stages share a GPU is free, where AlpaServe
forms groups of GPUs; there is no tensor parallelism.
"""

IDEAL = replace(
    BLOCKLLM,
    share="family",
    granularity="model",
    assembly=False,
    speculation="off",
    hop_overhead_us=0.0,
    delta_us_per_row_group=0.0,
)
"""Ideal share: apps of one family batch on any copy of the foundation, without hops and without deltas, neither their
time nor their bytes. A bound, not a system, and not one of each request: a copy that loads sooner may draw others."""

STRAWMAN = replace(PM, max_batch=1, age_s=inf, replica_share=0.0, resident_models=1, kv_move="recompute")
"""One request at a time from one queue; a GPU holds one model and exchanges it whole."""

SYSTEMS: dict[str, Serving] = {
    "strawman": STRAWMAN,
    "pm": PM,
    "ps": PS,
    "blockllm": BLOCKLLM,
    "ideal": IDEAL,
    "llumnix": LLUMNIX,
    "alpaserve": ALPASERVE,
}


def plain(serving: Serving, **fields: object) -> Serving:
    """A system without what the second simulator (`on_simpy`) lacks: choices, copies, ageing, growing, shrinking."""
    fixed = replace(
        serving,
        age_s=1e9,
        replica_share=0.0,
        kv="owner",
        assembly=False,
        speculation="off",
        scaling=False,
        kv_reserve=0.0,
        batch="global",
    )
    return replace(fixed, **fields)  # type: ignore[arg-type]


def system(name: str, **fields: object) -> Serving:
    """A system by name, with fields replaced; raises UserError for an unknown name, field or value."""
    if name not in SYSTEMS:
        raise UserError(f"no serving system is called {name!r}; there are: {', '.join(SYSTEMS)}.")
    unknown = sorted(set(fields) - set(Serving.__dataclass_fields__))
    if unknown:
        known = ", ".join(Serving.__dataclass_fields__)
        raise UserError(f"a serving system has no field {unknown[0]!r}; it has: {known}.")
    return replace(SYSTEMS[name], **fields)  # type: ignore[arg-type]
