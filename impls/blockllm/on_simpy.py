"""The simulator's core once more, on SimPy and request by request: what the event loop is compared with (spec §5.2).

Written from the specification and not from the engine: no cohorts, no tables, every request is a row in lists. It knows
single instances, chains over several GPUs, prompts joining batches, batch limits and whose turn it is on a GPU; neither
choices nor full memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remeasure.errors import UserError

from .sim.catalogue import Catalogue, Segment
from .sim.cluster import Cluster
from .sim.config import Serving
from .sim.interfaces import CostModel, Requests
from .sim.simulate import prepare
from .sim.tenants import Tenant

Moments = tuple[list[float], list[float]]
"""Seconds of every request's first and last token."""


def both(
    serving: Serving,
    cluster: Cluster,
    tenants: Sequence[Tenant],
    trace: Requests,
    costs: CostModel,
    seed: int,
) -> tuple[Moments, Moments]:
    """By the event loop, and by SimPy, with blocks on the same GPUs; raises UserError where SimPy is missing."""
    engine = prepare(serving, cluster, tenants, trace, costs, seed)
    world = engine.world
    second = Second(
        serving,
        world.content,
        cluster,
        costs,
        {instance.segment.id: instance.gpu.id for instance in world.instances},
        {instance.segment.id: instance.limit for instance in world.instances},
    )
    engine.run()
    return (world.first, world.finish), second.serve(trace)


@dataclass(eq=False)
class Row:
    """A request."""

    number: int
    app: int
    prompt: int
    output: int
    chain: list[Block]
    place: int = 0
    produced: int = 0
    first: float = -1.0
    finish: float = -1.0


@dataclass(eq=False)
class Group:
    """Rows that wait at a block side by side: all of a chain that begin a step, as long as none of them was taken."""

    rows: list[Row]
    open: bool


@dataclass(eq=False)
class Block:
    """An instance of a segment."""

    segment: Segment
    machine: Machine
    limit: int
    later: bool
    """Its turn comes after those of blocks within a chain."""
    decoding: deque[Group] = field(default_factory=deque)
    prompts: deque[Row] = field(default_factory=deque)
    resident: set[Row] = field(default_factory=set)


class Machine:
    """A GPU: a process that runs one batch after another."""

    def __init__(self, world: Second) -> None:
        self.world = world
        self.turns: list[Block] = []
        self.called = world.env.event()
        world.env.process(self.serve())

    def call(self, block: Block) -> None:
        if block not in self.turns:
            self.turns.append(block)
        if not self.called.triggered:
            self.called.succeed()

    def serve(self) -> Iterator[Any]:
        while True:
            if not self.turns:
                self.called = self.world.env.event()
                yield self.called
            block = min(self.turns, key=lambda block: block.later)  # of equals the first
            self.turns.remove(block)
            rows = _taken(block)
            prompts: list[Row] = []
            while block.prompts and len(rows) + len(prompts) < block.limit:
                tokens = sum(p.prompt for p in prompts) + block.prompts[0].prompt
                if prompts and tokens > self.world.serving.prefill_tokens:
                    break
                prompts.append(block.prompts.popleft())
            if block.decoding or block.prompts:
                self.turns.append(block)
            yield self.world.env.timeout(self.world.seconds(block, rows, prompts))
            self.world.move_on(rows + prompts, block)


class Second:
    """Serves a trace."""

    def __init__(
        self,
        serving: Serving,
        content: Catalogue,
        cluster: Cluster,
        costs: CostModel,
        gpu_of: Mapping[int, int],
        limits: Mapping[int, int],
    ) -> None:
        try:
            import simpy
        except ImportError:
            raise UserError("the second simulator needs SimPy; install simpy==4.1.2.") from None
        self.env: Any = simpy.Environment()
        self.serving, self.costs, self.gpu_of = serving, costs, gpu_of
        self.between, self.links = cluster.between(), cluster.links
        machines = {gpu: Machine(self) for gpu in sorted(set(gpu_of.values()))}
        finish_first = serving.turns == "under_way_first"
        blocks = [
            Block(s, machines[gpu_of[s.id]], limits[s.id], not finish_first or s.low == 0)
            for s in content.segments
        ]
        self.chains = [[blocks[s] for s in chain] for chain in content.chains]

    def serve(self, trace: Requests) -> Moments:
        rows = [
            Row(number, int(app), int(prompt), int(output), self.chains[int(app)])
            for number, (app, prompt, output) in enumerate(
                zip(trace.app, trace.prompt, trace.output, strict=True)
            )
        ]
        self.env.process(self._arrivals(trace.at_s.tolist(), rows))
        self.env.run()
        return [row.first for row in rows], [row.finish for row in rows]

    def _arrivals(self, times: list[float], rows: list[Row]) -> Iterator[Any]:
        for at, row in zip(times, rows, strict=True):
            yield self.env.timeout(at - self.env.now)
            self._come(row)

    def _come(self, row: Row) -> None:
        """A row waits at its block. Who stands where decides whose next block is called first, so it is compared."""
        block = row.chain[row.place]
        if not row.produced:
            block.prompts.append(row)
        else:
            groups = (group for group in block.decoding if group.open and group.rows[0].chain == row.chain)
            if not row.place and (group := next(groups, None)):
                group.rows.append(row)
            else:
                block.decoding.append(Group([row], open=not row.place))
        block.machine.call(block)

    def move_on(self, rows: list[Row], block: Block) -> None:
        """An iteration has ended: its rows go on, those for one block on another GPU in one message."""
        messages: dict[Block, list[Row]] = {}
        sizes: dict[Block, int] = {}
        for row in rows:
            row.place += 1
            tokens = 1 if row.produced else row.prompt
            if row.place == len(row.chain):
                row.place = 0
                row.produced += 1
                if row.produced == 1:
                    row.first = self.env.now
                if row.produced == row.output:
                    row.finish = self.env.now
                    for other in row.chain:
                        other.resident.discard(row)
                    continue
            target = row.chain[row.place]
            if target.machine is block.machine:
                self._come(row)
            else:
                nbytes = tokens * target.segment.hidden_bytes if row.place else 4
                messages.setdefault(target, []).append(row)
                sizes[target] = sizes.get(target, 0) + nbytes
        for target, together in messages.items():
            link = self.between[self.gpu_of[block.segment.id]][self.gpu_of[target.segment.id]]
            self.env.process(self._travel(together, self.links[link].seconds(sizes[target])))

    def _travel(self, rows: list[Row], seconds: float) -> Iterator[Any]:
        yield self.env.timeout(seconds)
        for row in rows:
            self._come(row)

    def seconds(self, block: Block, rows: list[Row], prompts: list[Row]) -> float:
        """An iteration, from the cost model's own functions."""
        segment, times, serving = block.segment, self.costs.of(block.segment.shape), self.serving
        for row in prompts:
            for other in row.chain:
                other.resident.add(row)
        tokens = len(rows) + sum(row.prompt for row in prompts)
        wanted = len(rows) + len(prompts)
        ms = segment.attns * times.attn_ms[tokens] + segment.ffns * times.ffn_ms[tokens]
        ms += times.embed_ms[tokens] if segment.low == 0 else 0.0
        ms += times.head_ms[wanted] if segment.head else 0.0
        if rows:
            context = sum(row.prompt + row.produced for row in rows)
            ms += segment.attns * times.decode_attention_ms(len(rows), context)
        for row in prompts:
            ms += segment.attns * times.prefill_attention_ms(row.prompt, 0)
        groups = len({row.app for row in block.resident if row.app in segment.deltas})
        us = min(groups, wanted) * serving.delta_us_per_row_group * segment.attns
        us += 0.0 if segment.whole else serving.hop_overhead_us
        return ms / 1e3 + us / 1e6


def _taken(block: Block) -> list[Row]:
    """The next batch's decoding rows: groups as they came, of one that is too large those that were asked first."""
    rows: list[Row] = []
    while block.decoding and len(rows) < block.limit:
        group = block.decoding[0]
        group.rows.sort(key=lambda row: row.number)
        room = block.limit - len(rows)
        rows += group.rows[:room]
        del group.rows[:room]
        if group.rows:
            group.open = False
        else:
            block.decoding.popleft()
    return rows
