"""Weights that come and go: blocks for which there is no room wait in host memory (spec §2.6, §3).

An instance without requests makes way for one that is wanted. One with requests stays, but once something cold has
waited for `age_s`, nothing new begins on that GPU until it has had its turn.
"""

from __future__ import annotations

from heapq import heappush
from math import isinf

from .state import CHECK, COLD, DRAINING, GONE, LOADED, LOADING, READY, Gpu, Instance
from .world import World

PATIENCE_S = 2.0
"""How long something cold waits before others stop, where age_s is infinite."""


class Residency:
    """Loads, evicts and removes weights."""

    def __init__(self, world: World) -> None:
        self.world = world
        age = world.serving.age_s
        self.patience_s = PATIENCE_S if isinf(age) else age
        self.slots = world.serving.resident_models

    def exchange(self, gpu: Gpu) -> None:
        """Load what is wanted on a GPU as far as idle instances make way."""
        world = self.world
        while gpu.cold:
            wanted = gpu.cold[0]
            if wanted.state != COLD or not self._wanted(wanted):
                gpu.cold.popleft()
                continue
            overdue_at = self._waiting_since(wanted) + self.patience_s
            victims = self._victims(gpu, wanted, world.now >= overdue_at)
            if victims is None:
                gpu.closing = world.now >= overdue_at
                self._check(gpu, overdue_at)
                return
            gpu.cold.popleft()
            for victim in victims:
                self._unload(victim)
            self.load(wanted)
            self._open(gpu)
        self._open(gpu)

    def _open(self, gpu: Gpu) -> None:
        """New requests may begin again."""
        if gpu.closing:
            gpu.closing = False
            for instance in gpu.instances:
                instance.blocked = False
                if instance.prompts or instance.common:
                    self.world.wake(instance)

    def _check(self, gpu: Gpu, at_s: float) -> None:
        """Look at a GPU again at that time, though nothing may happen there until then."""
        world = self.world
        if at_s > world.now and gpu.check_at <= world.now:
            gpu.check_at = at_s
            heappush(world.heap, (at_s, world.tick(), CHECK, gpu))

    def load(self, instance: Instance) -> None:
        """Begin to load an instance's weights; there is room."""
        world = self.world
        world.hold(instance)
        instance.state = LOADING
        instance.ready_at = world.now + world.cluster.loading.seconds(instance.weights)
        world.counts.loads += 1
        world.counts.loaded_bytes += instance.weights
        heappush(world.heap, (instance.ready_at, world.tick(), LOADED, instance))

    def loaded(self, instance: Instance) -> None:
        """Weights are there."""
        instance.state, instance.fresh = READY, True
        gpu = instance.gpu
        self._check(gpu, self.world.now + self.patience_s)
        for other in (*gpu.instances, *gpu.blocked):
            other.blocked = False
            if other.begun or other.prompts or other.common or other.cohorts:
                self.world.wake(other)
        gpu.blocked.clear()

    def emptied(self, instance: Instance) -> None:
        """A leaving instance holds no request any more."""
        if instance.state == DRAINING:
            self.remove(instance)

    def remove(self, instance: Instance) -> None:
        """An instance goes for good."""
        world, gpu = self.world, instance.gpu
        gpu.room += instance.weights
        instance.state = GONE
        gpu.instances.remove(instance)
        if instance.ready:
            instance.line.remove(instance)
            instance.ready = False
        world.counts.unloads += 1
        world.give_back(gpu, 0)

    def _wanted(self, instance: Instance) -> bool:
        return bool(instance.prompts or instance.common) or any(
            other.blocked for other in instance.gpu.blocked
        )

    def _waiting_since(self, instance: Instance) -> float:
        first = instance.prompts or instance.common
        return self.world.since[first[0]] if first else self.world.now - self.patience_s

    def _victims(self, gpu: Gpu, wanted: Instance, overdue: bool) -> list[Instance] | None:
        """Instances whose weights make way; None: there are not enough yet."""
        held = [i for i in gpu.instances if i.state not in (COLD, GONE)]
        idle = [
            i
            for i in held
            if i.state == READY
            and not i.resident
            and gpu.running is not i
            and not (i.fresh and self.world.now < i.ready_at + self.patience_s)
            and (overdue or not (i.prompts or i.common))
        ]
        idle.sort(key=lambda i: (i.used_at, i.id))
        need = wanted.weights + wanted.segment.context_bytes
        free, count = gpu.room - gpu.kv, len(held)
        victims: list[Instance] = []
        while free < need or (self.slots and count >= self.slots):
            if not idle:
                return None
            victims.append(idle.pop(0))
            free += victims[-1].weights
            count -= 1
        return victims

    def _unload(self, instance: Instance) -> None:
        gpu = instance.gpu
        gpu.room += instance.weights
        instance.state = COLD
        if instance.ready:
            instance.line.remove(instance)
            instance.ready = False
        self.world.counts.unloads += 1
        if instance.prompts or instance.common:
            gpu.cold.append(instance)
