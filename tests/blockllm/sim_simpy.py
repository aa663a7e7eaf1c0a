"""The simulator's core once more, on SimPy and request by request: what `test_sim_simpy` compares with.

Written from the specification and not from the engine: no cohorts, no tables, every request is a row in lists. It knows
single instances, chains over several GPUs, prompts joining batches, batch limits and first come, first served between
the instances of a GPU; neither choices nor full memory.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import simpy

from remeasure.impls.blockllm.sim.catalogue import Segment


@dataclass(eq=False)
class Row:
    """A request."""

    app: int
    prompt: int
    output: int
    chain: list[Block]
    place: int = 0
    produced: int = 0
    first: float = -1.0
    finish: float = -1.0
    came: float = 0.0


@dataclass(eq=False)
class Block:
    """An instance of a segment."""

    segment: Segment
    machine: Machine
    limit: int
    decoding: list[Row] = field(default_factory=list)
    prompts: deque[Row] = field(default_factory=deque)


class Machine:
    """A GPU: a process that runs one batch after another."""

    def __init__(self, env: simpy.Environment, world: Reference) -> None:
        self.env, self.world = env, world
        self.turn: deque[Block] = deque()
        self.called = env.event()
        env.process(self.serve())

    def call(self, block: Block) -> None:
        if block not in self.turn:
            self.turn.append(block)
        if not self.called.triggered:
            self.called.succeed()

    def serve(self):
        while True:
            if not self.turn:
                self.called = self.env.event()
                yield self.called
            block = self.turn.popleft()
            rows = block.decoding[: block.limit]
            del block.decoding[: len(rows)]
            prompts: list[Row] = []
            while block.prompts and len(rows) + len(prompts) < block.limit:
                tokens = sum(p.prompt for p in prompts) + block.prompts[0].prompt
                if prompts and tokens > self.world.budget:
                    break
                prompts.append(block.prompts.popleft())
            if block.decoding or block.prompts:
                self.turn.append(block)
            yield self.env.timeout(self.world.seconds(block, rows, prompts))
            self.world.move_on(rows + prompts, block)


class Reference:
    """Serves a trace; `completions` gives first and last token of every request."""

    def __init__(self, content, gpu_of_segment, limits, between, links, costs, budget, hop_s, delta_s):
        self.env = simpy.Environment()
        self.costs, self.budget, self.hop_s, self.delta_s = costs, budget, hop_s, delta_s
        self.between, self.links = between, links
        self.gpu_of = gpu_of_segment
        machines = {gpu: Machine(self.env, self) for gpu in sorted(set(gpu_of_segment.values()))}
        self.blocks = [
            Block(segment, machines[gpu_of_segment[segment.id]], limits[segment.id])
            for segment in content.segments
        ]
        self.chains = [[self.blocks[s] for s in chain] for chain in content.chains]
        self.resident: dict[int, set[Row]] = {segment.id: set() for segment in content.segments}

    def completions(self, trace):
        rows = [
            Row(int(app), int(prompt), int(output), self.chains[int(app)])
            for app, prompt, output in zip(trace.app, trace.prompt, trace.output, strict=True)
        ]
        self.env.process(self.arrivals(trace.at_s.tolist(), rows))
        self.env.run()
        return [row.first for row in rows], [row.finish for row in rows]

    def arrivals(self, times, rows):
        for at, row in zip(times, rows, strict=True):
            yield self.env.timeout(at - self.env.now)
            self.come(row)

    def come(self, row):
        block = row.chain[row.place]
        (block.decoding if row.produced else block.prompts).append(row)
        block.machine.call(block)

    def move_on(self, rows, block):
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
                        self.resident[other.segment.id].discard(row)
                    continue
            target = row.chain[row.place]
            if target.machine is block.machine:
                self.come(row)
            else:
                nbytes = tokens * target.segment.hidden_bytes if row.place else 4
                messages.setdefault(target, []).append(row)
                sizes[target] = sizes.get(target, 0) + nbytes
        for target, together in messages.items():
            link = self.between[self.gpu_of[block.segment.id]][self.gpu_of[target.segment.id]]
            self.env.process(self.travel(together, self.links[link].seconds(sizes[target])))

    def travel(self, rows, seconds):
        yield self.env.timeout(seconds)
        for row in rows:
            self.come(row)

    def seconds(self, block, rows, prompts):
        """An iteration, from the cost model's own functions."""
        segment, times = block.segment, self.costs.of(block.segment.shape)
        for row in prompts:
            for other in row.chain:
                self.resident[other.segment.id].add(row)
        tokens = len(rows) + sum(row.prompt for row in prompts)
        wanted = len(rows) + len(prompts)
        ms = segment.attns * times.attn_ms[tokens] + segment.ffns * times.ffn_ms[tokens]
        if segment.head:
            ms += times.head_ms[wanted]
        if rows:
            context = sum(row.prompt + row.produced for row in rows)
            ms += segment.attns * times.decode_attention_ms(len(rows), context)
        for row in prompts:
            ms += segment.attns * times.prefill_attention_ms(row.prompt, 0)
        groups = {row.app for row in self.resident[segment.id] if row.app in segment.deltas}
        seconds = ms / 1e3 + min(len(groups), wanted) * self.delta_s * segment.attns
        return seconds + (0.0 if segment.whole else self.hop_s)
