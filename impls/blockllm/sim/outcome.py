"""What a simulation leaves behind: every request's times, totals by GPU and block, counts of what happened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .interfaces import FloatArray, IntArray, Requests
from .state import Instance
from .world import Counts, World

COMPLETED, REJECTED, UNFINISHED = 0, 1, 2


@dataclass(frozen=True, eq=False)
class GpuTotals:
    """By GPU; utilisation is these over what the time would have allowed."""

    busy_s: FloatArray
    flops: FloatArray
    """Multiplications and additions of matrices and attention."""
    nbytes: FloatArray
    """Weights and KV caches read, activations apart."""
    weight_bytes: IntArray
    """Most at any time."""
    kv_bytes: IntArray
    """Most at any time, seen whenever a prompt came in."""
    kv_room_bytes: IntArray
    """What weights leave, at the end."""


@dataclass(frozen=True, eq=False)
class BlockTotals:
    """By segment of the catalogue."""

    iterations: IntArray
    rows: IntArray
    """Decoding rows over all iterations."""
    prompt_tokens: IntArray
    tokens: IntArray
    """Tokens through the block's matrices."""
    instances: IntArray
    """At the end."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Times in seconds; a request that was not begun or not finished has -1 there."""

    app: IntArray
    arrival_s: FloatArray
    first_s: FloatArray
    finish_s: FloatArray
    prompt: IntArray
    output: IntArray
    status: IntArray
    """COMPLETED, REJECTED or UNFINISHED."""
    end_s: float
    gpus: GpuTotals
    blocks: BlockTotals
    counts: Counts
    zoo_bytes: int
    """One copy of every block."""
    monolith_bytes: int
    """One copy of every app's model."""
    pops: int
    """Events taken off the heap."""

    @property
    def owner_hits(self) -> int:
        """Rows served where their KV cache was."""
        moved = sum(self.counts.transfers) + self.counts.recomputed
        return int(self.blocks.rows.sum()) - moved


def outcome(world: World, trace: Requests, pops: int, monolith_bytes: int) -> Outcome:
    """Read a world that has come to its end."""
    finish, first = np.array(world.finish), np.array(world.first)
    context = np.array([pools[0].segment.shape.context for pools in _first_pools(world)])
    n = len(finish)
    app = np.asarray(trace.app, dtype=np.int64)
    refused = trace.prompt + trace.output > context[app] if n else np.zeros(0, bool)
    status = np.where(finish >= 0, COMPLETED, np.where(refused, REJECTED, UNFINISHED))
    return Outcome(
        app=app,
        arrival_s=np.asarray(trace.at_s, dtype=np.float64),
        first_s=first,
        finish_s=finish,
        prompt=np.asarray(trace.prompt, dtype=np.int64),
        output=np.asarray(trace.output, dtype=np.int64),
        status=status.astype(np.int64),
        end_s=world.now,
        gpus=_gpu_totals(world),
        blocks=_block_totals(world),
        counts=world.counts,
        zoo_bytes=world.content.weight_bytes,
        monolith_bytes=monolith_bytes,
        pops=pops,
    )


def flops(instance: Instance) -> float:
    """Operations of all iterations of an instance."""
    segment, shape = instance.segment, instance.segment.shape
    matrices = segment.attns * 8 * shape.hidden**2 + segment.ffns * 6 * shape.hidden * shape.ffn
    attention = 4 * shape.hidden * segment.attns * (instance.context + instance.pairs / 2)
    head = 2 * shape.hidden * shape.vocabulary * instance.outputs if segment.head else 0
    return float(matrices * instance.tokens + attention + head)


def nbytes(instance: Instance) -> float:
    """Bytes of weights and KV caches that all iterations of an instance read or wrote."""
    segment = instance.segment
    # Of the embedding only a few rows are read.
    weights = instance.weights - (segment.shape.embed_bytes if segment.embed else 0)
    seen = instance.context + instance.prompt_tokens + instance.tokens
    return float(instance.iterations * weights + segment.kv_bytes * seen)


def _first_pools(world: World) -> list[list]:  # type: ignore[type-arg]
    return [[world.pools[s] for s in chain] for chain in world.content.chains]


def _gpu_totals(world: World) -> GpuTotals:
    gpus = len(world.gpus)
    where = [instance.gpu.id for instance in world.instances]

    def by_gpu(values: list[float]) -> FloatArray:
        return np.bincount(np.array(where, np.int64), np.array(values, np.float64), gpus).astype(np.float64)

    return GpuTotals(
        busy_s=by_gpu([i.busy_s for i in world.instances]),
        flops=by_gpu([flops(i) for i in world.instances]),
        nbytes=by_gpu([nbytes(i) for i in world.instances]),
        weight_bytes=np.array([gpu.weights_peak for gpu in world.gpus], dtype=np.int64),
        kv_bytes=np.array([gpu.kv_peak for gpu in world.gpus], dtype=np.int64),
        kv_room_bytes=np.array([gpu.room for gpu in world.gpus], dtype=np.int64),
    )


def _block_totals(world: World) -> BlockTotals:
    totals = np.zeros((5, len(world.pools)), dtype=np.int64)
    for instance in world.instances:
        s = instance.segment.id
        totals[:4, s] += (instance.iterations, instance.rows, instance.prompt_tokens, instance.tokens)
    totals[4] = [len(pool.instances) for pool in world.pools]
    return BlockTotals(*totals)
