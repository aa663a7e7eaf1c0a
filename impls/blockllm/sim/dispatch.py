"""Which instances a request's chain goes through (spec §2.3, §2.4): by estimated cost, or substitutes where it is full.

The estimate of an instance is what waits on its GPU, the prompt itself, the wait for a place in its batch or for KV
memory, and then the steps of an answer of the app's mean length, each as long as one round over everything that is
active on that GPU and the hops to and from it.
"""

from __future__ import annotations

from .state import COLD, LOADING, READY, Instance, Path, Pool
from .world import World


class Dispatcher:
    """Chooses paths."""

    def __init__(self, world: World) -> None:
        self.world, self.serving = world, world.serving
        self.chains = [[world.pools[s] for s in chain] for chain in world.content.chains]
        self.equivalents = [
            [world.pools[s] for s in world.content.equivalents[pool.segment.id]] for pool in world.pools
        ]

    def route(self, request: int, first: Instance | None = None) -> Path:
        """A path for a request that holds no KV; through `first`, if its first instance stands already."""
        world = self.world
        chosen: list[Instance] = []
        previous = None
        world.replaced[request] = 0
        for place, pool in enumerate(self.chains[world.app[request]]):
            instance = first if first is not None and not place else self._choose(request, pool, previous)
            chosen.append(instance)
            previous = instance
        return world.path(tuple(chosen))

    def _choose(self, request: int, pool: Pool, previous: Instance | None) -> Instance:
        world = self.world
        candidates = pool.instances
        if self.serving.kv == "random" and len(candidates) > 1:
            return candidates[int(world.rng.integers(len(candidates)))]
        others = self.equivalents[pool.segment.id] if self._may_replace(request) else ()
        if len(candidates) == 1 and not others:
            return candidates[0]
        costs = [self.cost(request, instance, previous) for instance in candidates]
        best = min(range(len(costs)), key=lambda n: (sum(costs[n]), candidates[n].id))
        instance, (wait, work) = candidates[best], costs[best]
        if not others:
            return instance
        own = pool.steps.prompt_s(world.length[request])
        if wait <= self.serving.theta * own and instance.state == READY:
            return instance
        total = wait + work
        for other in others:
            for candidate in other.instances:
                if candidate.state == READY:
                    found = sum(self.cost(request, candidate, previous))
                    if found < total:
                        instance, total = candidate, found
        if instance.pool is not pool:
            world.replaced[request] += 1
            world.counts.substituted += 1
        return instance

    def _may_replace(self, request: int) -> bool:
        return self.serving.assembly and self.world.replaced[request] < self.serving.substitutions

    def cost(self, request: int, instance: Instance, previous: Instance | None) -> tuple[float, float]:
        """Seconds that a request would wait for an instance, and seconds of what follows."""
        world, gpu = self.world, instance.gpu
        now, tokens, context = world.now, world.length[request], world.context
        answer = world.expected_output(world.app[request])
        wait = gpu.free_at - now if gpu.free_at > now else 0.0
        turn = 0.0
        for other in gpu.instances:
            if other.queued:
                wait += other.queued * other.token_s
            rows = other.resident + (other is instance)
            if rows:
                rows = min(rows, other.limit)
                turn += other.steps.decode_s(rows, rows * context)
        if instance.state in (LOADING, COLD):
            load_s = world.cluster.loading.seconds(instance.weights)
            wait += instance.ready_at - now if instance.state == LOADING else load_s
        waiting = instance.resident + len(instance.prompts) + 1 - instance.limit
        if waiting > 0:
            wait += turn * answer * waiting / instance.limit
        missing = gpu.kv + (tokens + instance.queued) * instance.segment.kv_bytes - gpu.room
        if missing > 0 and gpu.kv:
            wait += turn * answer * missing / gpu.kv
        work = instance.steps.prompt_s(tokens) + turn * answer
        if previous is not None:
            link = world.between[previous.gpu.id][gpu.id]
            if link:
                way, hidden = world.links[link], instance.segment.hidden_bytes
                # There and back, for the prompt and for every step.
                work += way.seconds(tokens * hidden) + 2 * answer * way.seconds(hidden)
        return wait, work
