"""Everything there is at one moment of a simulation, and the small changes that several parts make (spec §2.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappush
from itertools import count
from typing import Any

import numpy as np

from .batching import block_batch
from .catalogue import Catalogue
from .cluster import SAME_GPU, Cluster
from .config import Serving
from .cost.network import Link
from .demand import Demand
from .interfaces import Requests
from .placement import Spot
from .state import COLD, DRAINING, MESSAGE, READY, Cohort, Gpu, Instance, Message, Path, Pool, merge
from .steps import Steps

TOKEN_BYTES = 4
"""What goes back to the first block after a step: the token's number."""


@dataclass
class Counts:
    """What happened, counted; the lists are by SAME_GPU, IN_NODE, CROSS_NODE."""

    hops: list[int] = field(default_factory=lambda: [0, 0, 0])
    hop_bytes: list[int] = field(default_factory=lambda: [0, 0, 0])
    transfers: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Requests whose KV cache of one block moved."""
    transfer_bytes: list[int] = field(default_factory=lambda: [0, 0, 0])
    recomputed: int = 0
    """Requests whose KV cache of one block was computed again elsewhere."""
    recomputed_tokens: int = 0
    evicted: int = 0
    """Requests that lost their KV cache to others and computed it again."""
    evicted_tokens: int = 0
    substituted: int = 0
    rejected: int = 0
    loads: int = 0
    loaded_bytes: int = 0
    unloads: int = 0
    grown: int = 0
    shrunk: int = 0
    drafted: int = 0
    """speculation=exact: tokens drafted; else rows guessed."""
    accepted: int = 0
    draft_s: float = 0.0
    """GPU seconds spent on surrogates."""


class World:
    """State of one simulation; times in seconds, sizes in bytes."""

    def __init__(
        self,
        serving: Serving,
        cluster: Cluster,
        content: Catalogue,
        steps: list[Steps],
        expected: Demand,
        spots: list[Spot],
        trace: Requests,
        seed: int,
    ) -> None:
        self.serving, self.cluster, self.content, self.expected = serving, cluster, content, expected
        self.rng = np.random.default_rng([seed, 0x51])
        self.now = 0.0
        self.heap: list[tuple[float, int, int, Any]] = []
        self.tick = count(1).__next__
        self.counts = Counts()
        self.nothing: deque[int] = deque()
        """What an instance that takes no new requests has in place of its pool's queue; never filled."""
        self.kicked: list[Gpu] = []
        """GPUs that may have got something to run."""
        self.context = max(1, round(expected.context))

        self.at: list[float] = trace.at_s.tolist()
        self.app: list[int] = trace.app.tolist()
        self.prompt: list[int] = trace.prompt.tolist()
        self.output: list[int] = trace.output.tolist()
        n = len(self.at)
        self.first: list[float] = [-1.0] * n
        self.finish: list[float] = [-1.0] * n
        self.length = list(self.prompt)
        """Tokens that a prompt's pass computes: more than the prompt after the KV cache was lost."""
        self.stop = [1 << 30] * n
        """Last place that computes all of `length`; later ones, whose KV cache is still there, only the last token."""
        self.place = [0] * n
        """Where a prompt stands on its path."""
        self.since = [0.0] * n
        """When it came there."""
        self.paths: list[Path | None] = [None] * n
        self.produced = [0] * n
        """Tokens produced before the last pass as a prompt."""
        self.admitted = bytearray(n)
        """Holds KV."""
        self.replaced = bytearray(n)
        """Blocks substituted in its chain."""
        self.kv: list[tuple[int, ...]] = [()] * n
        """Segments that produced a request's KV cache, by place."""
        self.open = n
        """Requests that have not ended."""
        self.left_tokens = [0.0] * len(content.chains)
        self.left = [0] * len(content.chains)
        """Tokens and number of answers that have ended, by app: all that policies know of lengths."""

        servers = cluster.server_of
        self.gpus = [Gpu(g, servers[g], int(cluster.gpu_bytes)) for g in range(cluster.gpus)]
        self.between = cluster.between()
        self.links: tuple[Link, Link, Link] = cluster.links
        self.nic_free_at = [0.0] * len(cluster.gpus_per_server)
        self.pools = [Pool(segment, step) for segment, step in zip(content.segments, steps, strict=True)]
        self.instances: list[Instance] = []
        """All that ever were."""
        self.dress: Callable[[Path], None] = _as_it_is
        """What speculation adds to a new path."""
        self._paths: dict[tuple[int, ...], Path] = {}
        self.outbox: list[Message] = []
        """What leaves the iteration that ends now."""
        for spot in spots:
            self.add_instance(spot.segment, self.gpus[spot.gpu], COLD if spot.cold else READY)

    # --- instances -------------------------------------------------------------------------------------------------

    def add_instance(self, segment: int, gpu: Gpu, state: int) -> Instance:
        """A copy of a segment on a GPU; its weights count unless it is COLD."""
        pool = self.pools[segment]
        limit = block_batch(self.serving, pool.steps, self.context)
        finish_first = self.serving.turns == "under_way_first"
        instance = Instance(len(self.instances), pool, gpu, limit, pool.segment.weight_bytes, finish_first)
        instance.state = state
        self.instances.append(instance)
        pool.instances.append(instance)
        gpu.instances.append(instance)
        if state != COLD:
            self.hold(instance)
        return instance

    def hold(self, instance: Instance) -> None:
        """An instance's weights take room."""
        gpu = instance.gpu
        gpu.room -= instance.weights
        gpu.weights_peak = max(gpu.weights_peak, gpu.capacity - gpu.room)

    def recheck_paths(self) -> None:
        """After instances came or went: which paths have something to decide."""
        for path in self._paths.values():
            path.careful = self._careful(path)

    def _careful(self, path: Path) -> tuple[bool, ...]:
        """By place: whether there is more than one instance to go to, or a guess to make."""
        serving = self.serving
        always, choosing = serving.substitute == "any", serving.kv != "owner"
        return tuple(
            [
                place == path.guess or (choosing and (always or len(instance.pool.instances) > 1))
                for place, instance in enumerate(path.instances)
            ]
        )

    # --- paths -----------------------------------------------------------------------------------------------------

    def path(self, instances: tuple[Instance, ...]) -> Path:
        """The path through these instances; the same object whenever they are the same."""
        key = tuple([instance.id for instance in instances])
        found = self._paths.get(key)
        if found is None:
            found = self._paths[key] = self._new_path(instances)
        return found

    def _new_path(self, instances: tuple[Instance, ...]) -> Path:
        grow: dict[int, int] = {}
        for instance in instances:
            grow[instance.gpu.id] = grow.get(instance.gpu.id, 0) + instance.segment.kv_bytes
        links = [self.link(instances[place - 1], instance) for place, instance in enumerate(instances)]
        path = Path(instances, tuple((self.gpus[g], b) for g, b in grow.items()), tuple(links))
        self.dress(path)
        path.careful = self._careful(path)
        return path

    # --- queues ----------------------------------------------------------------------------------------------------

    def wake(self, instance: Instance) -> None:
        """It has something to run, once its weights are there."""
        gpu = instance.gpu
        if instance.state in (READY, DRAINING):
            if not instance.ready:
                instance.ready = True
                instance.line.append(instance)
        elif instance.state == COLD and instance not in gpu.cold:
            gpu.cold.append(instance)
        if gpu.running is None:
            self.kicked.append(gpu)

    def put_cohort(self, cohort: Cohort) -> None:
        """Decoding requests have come to their place's instance."""
        path = cohort.path
        cohort.since = self.now
        instance = path.instances[cohort.place]
        if not cohort.place:
            waiting = path.waiting
            if waiting is not None:
                merge(waiting, cohort)
                return
            path.waiting = cohort
        instance.cohorts.append(cohort)
        self.wake(instance)

    def put_prompt(self, request: int, instance: Instance, ahead: bool = False) -> None:
        """A prompt has come to an instance; `ahead` of those that wait there."""
        self.since[request] = self.now
        instance.queued += self.length[request]
        if self.admitted[request]:
            instance.begun.append(request)
        elif ahead:
            instance.prompts.appendleft(request)
            instance.blocked = False
        else:
            instance.prompts.append(request)
        self.wake(instance)

    # --- links -----------------------------------------------------------------------------------------------------

    def link(self, source: Instance, target: Instance) -> int:
        """SAME_GPU, IN_NODE or CROSS_NODE."""
        return self.between[source.gpu.id][target.gpu.id]

    def post_cohort(self, cohort: Cohort, target: Instance, link: int) -> None:
        """Decoding requests leave for their place over a link: their activations, or at the end their tokens."""
        message = self._message(target, link)
        message.nbytes += cohort.n * (target.segment.hidden_bytes if cohort.place else TOKEN_BYTES)
        message.cohorts.append(cohort)

    def post_prompt(self, request: int, source: Instance) -> None:
        """A prompt leaves for its place, over a link or at once."""
        path = self.paths[request]
        assert path is not None
        place = self.place[request]
        target = path.instances[place]
        link = self.link(source, target)
        if link == SAME_GPU:
            self.put_prompt(request, target)
            return
        message = self._message(target, link)
        # Places behind the one that is computed again get the last token only.
        tokens = self.length[request] if place <= self.stop[request] else 1
        message.nbytes += tokens * target.segment.hidden_bytes
        message.prompts.append(request)

    def _message(self, target: Instance, link: int) -> Message:
        for message in self.outbox:
            if message.target is target:
                return message
        self.outbox.append(Message(target, link))
        return self.outbox[-1]

    def send(self) -> None:
        """Everything in the outbox goes off, one message for each instance."""
        for message in self.outbox:
            self.counts.hops[message.link] += 1
            self.counts.hop_bytes[message.link] += message.nbytes
            seconds = self.links[message.link].seconds(message.nbytes)
            heappush(self.heap, (self.now + seconds, self.tick(), MESSAGE, message))
        self.outbox.clear()

    def send_moved(self, cohort: Cohort, target: Instance, at_s: float) -> None:
        """Decoding requests follow their KV caches, which arrive at `at_s`."""
        message = Message(target, SAME_GPU)
        message.cohorts.append(cohort)
        heappush(self.heap, (at_s, self.tick(), MESSAGE, message))

    def receive(self, message: Message) -> None:
        """A message has arrived."""
        for cohort in message.cohorts:
            self.put_cohort(cohort)
        for request in message.prompts:
            self.put_prompt(request, message.target)

    # --- memory ----------------------------------------------------------------------------------------------------

    def give_back(self, gpu: Gpu, nbytes: int) -> None:
        """KV memory is free again: those that waited for it may try."""
        gpu.kv -= nbytes
        if gpu.blocked:
            for instance in gpu.blocked:
                instance.blocked = False
                self.wake(instance)
            gpu.blocked.clear()

    def move_resident(self, request: int, instance: Instance, change: int) -> None:
        """A request begins (+1) or ends (−1) to hold KV at an instance."""
        instance.resident += change
        instance.gpu.turn_s = -1.0
        instance.fresh = False
        if instance.delta_s:
            app = self.app[request]
            if app in instance.segment.deltas:
                now = instance.groups.get(app, 0) + change
                instance.groups[app] = now
                if now == 0:
                    instance.distinct -= 1
                elif now == 1 and change == 1:
                    instance.distinct += 1

    def expected_output(self, app: int) -> float:
        """Mean answer of an app, from the operators' number and those that have ended."""
        prior = self.expected.output[app]
        return (8 * prior + self.left_tokens[app]) / (8 + self.left[app])


def _as_it_is(path: Path) -> None:
    pass
