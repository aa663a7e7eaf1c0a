"""Which instances a request's chain goes through (spec §2.3, §2.4): by estimated cost, or substitutes where it is full.

The cost of a path is what its instances make the prompt wait, the prompt itself, and then the steps of an answer of the
app's mean length, each as long as `Estimate.arrive_s` says from block to block. All paths are compared, place by place:
the best way to every instance of a place follows from the best ways to those of the place before.
"""

from __future__ import annotations

from collections.abc import Iterator

from .estimate import Estimate
from .state import READY, Instance, Path
from .world import World

Way = tuple[float, tuple[Instance, ...]]
"""Seconds, and the instances they are for."""


class Dispatcher:
    """Chooses paths."""

    def __init__(self, world: World, estimate: Estimate) -> None:
        self.world, self.serving, self.estimate = world, world.serving, estimate
        self.chains = [[world.pools[s] for s in chain] for chain in world.content.chains]
        self.equivalents = [
            [world.pools[s] for s in world.content.equivalents[pool.segment.id]] for pool in world.pools
        ]

    def route(self, request: int, first: Instance | None = None) -> Path:
        """A path for a request that holds no KV; through `first`, if its first instance stands already."""
        world = self.world
        world.replaced[request] = 0
        chain = self.chains[world.app[request]]
        places = [pool.instances for pool in chain]
        if first is not None:
            places[0] = [first]
        if self.serving.kv == "random":
            picks = [int(world.rng.integers(len(i))) if len(i) > 1 else 0 for i in places]
            return world.path(tuple([i[pick] for i, pick in zip(places, picks, strict=True)]))
        if all(len(instances) == 1 for instances in places) and not self.serving.assembly:
            return world.path(tuple([instances[0] for instances in places]))
        path = self._cheapest(request, places)
        if self.serving.assembly:
            path = self._with_substitutes(request, path, 0 if first is None else 1)
        return world.path(path)

    def _cheapest(self, request: int, places: list[list[Instance]]) -> tuple[Instance, ...]:
        """The cheapest path through one instance of each place; of equals the one found first."""
        tokens, answer = self._expected(request)
        ways: list[Way] = []
        for place, instances in enumerate(places):
            if not place:
                ways = [(self._stay_s(i, i, tokens, answer, True), (i,)) for i in instances]
                continue
            found: list[Way] = []
            for target in instances:
                onward = [
                    (seconds + self._stay_s(path[-1], target, tokens, answer, False), path)
                    for seconds, path in ways
                ]
                seconds, path = min(onward, key=_seconds)
                found.append((seconds, (*path, target)))
            ways = found
        if len(places) > 1:
            ways = [(seconds + answer * self._back_s(path), path) for seconds, path in ways]
        return min(ways, key=_seconds)[1]

    def _expected(self, request: int) -> tuple[int, float]:
        """Tokens of a request's prompt, and of a mean answer of its app."""
        world = self.world
        return world.length[request], world.expected_output(world.app[request])

    def _stay_s(self, source: Instance, target: Instance, tokens: int, answer: float, first: bool) -> float:
        """What a block costs a request that comes from the one before it: waits, its prompt, and all its steps."""
        estimate, gpu = self.estimate, target.gpu
        seconds = answer * estimate.arrive_s(source, target, first, 1)
        seconds += estimate.own_wait_s(target, tokens, answer) + target.steps.prompt_s(tokens)
        if first or source.gpu is not gpu:
            seconds += estimate.gpu_wait_s(gpu)
        link = self.world.between[source.gpu.id][gpu.id]
        if link:
            seconds += self.world.links[link].seconds(tokens * source.segment.hidden_bytes)
        return seconds

    def _back_s(self, path: tuple[Instance, ...]) -> float:
        link = self.world.between[path[-1].gpu.id][path[0].gpu.id]
        return self.world.links[link].latency_s if link else 0.0

    def _with_substitutes(self, request: int, path: tuple[Instance, ...], begin: int) -> tuple[Instance, ...]:
        """The same path with an equivalent block where the planned one is congested or loading, if that is cheaper."""
        world = self.world
        for _ in range(self.serving.substitutions):
            gain, place, instance = max(self._exchanges(request, path, begin), key=_seconds)
            if gain <= 0 or instance is None:
                break
            path = (*path[:place], instance, *path[place + 1 :])
            world.replaced[request] += 1
            world.counts.substituted += 1
        return path

    def _exchanges(
        self, request: int, path: tuple[Instance, ...], begin: int
    ) -> Iterator[tuple[float, int, Instance | None]]:
        """Seconds gained by a substitute at a place, for every one that comes into question."""
        yield 0.0, 0, None
        estimate, chain = self.estimate, self.chains[self.world.app[request]]
        tokens, answer = self._expected(request)
        for place in range(begin, len(path)):
            planned, others = path[place], self.equivalents[chain[place].segment.id]
            if not others or planned.pool is not chain[place]:
                continue
            wait = estimate.gpu_wait_s(planned.gpu) + estimate.own_wait_s(planned, tokens, answer)
            if wait <= self.serving.theta * planned.steps.prompt_s(tokens) and planned.state == READY:
                continue
            now = self._around_s(path, place, planned, tokens, answer)
            for pool in others:
                for other in pool.instances:
                    if other.state == READY:
                        yield now - self._around_s(path, place, other, tokens, answer), place, other

    def _around_s(
        self, path: tuple[Instance, ...], place: int, instance: Instance, tokens: int, answer: float
    ) -> float:
        """What a place and the way on from it cost if this instance were there."""
        source = path[place - 1] if place else instance
        seconds = self._stay_s(source, instance, tokens, answer, not place)
        if place + 1 < len(path):
            return seconds + self._stay_s(instance, path[place + 1], tokens, answer, False)
        return seconds + answer * self._back_s((path[0], instance))


def _seconds(way: tuple[float, *tuple[object, ...]]) -> float:
    return way[0]
