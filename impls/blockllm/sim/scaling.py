"""Adding and removing instances while serving (spec §2.6): out on queue delay, in on idleness, loading takes time."""

from __future__ import annotations

from heapq import heappush

from .dispatch import Dispatcher
from .residency import Residency
from .state import DRAINING, LOADING, READY, WINDOW, Gpu, Instance, Pool
from .world import World


class Scaling:
    """Looks at every block once a window."""

    def __init__(self, world: World, dispatcher: Dispatcher, residency: Residency) -> None:
        self.world, self.serving = world, world.serving
        self.dispatcher, self.residency = dispatcher, residency

    def begin(self) -> None:
        """Await the end of a window."""
        world = self.world
        heappush(world.heap, (world.now + self.serving.window_s, world.tick(), WINDOW, None))

    def window(self) -> None:
        """A window has ended."""
        world = self.world
        changed = False
        for pool in world.pools:
            changed |= self._grow(pool)
            changed |= self._shrink(pool)
        if changed:
            world.recheck_paths()
        # With nothing else to come nothing would ever change.
        if world.open and (world.heap or changed):
            self.begin()

    def _grow(self, pool: Pool) -> bool:
        """Add a copy to a block whose prompts have waited too long for long enough."""
        delay = self._delay_s(pool)
        pool.delay_s, pool.delayed = 0.0, 0
        limit = max(instance.limit for instance in pool.instances)
        full_s = pool.steps.decode_s(limit, limit * self.world.context)
        pool.slow = pool.slow + 1 if delay > full_s else 0
        loading = any(instance.state == LOADING for instance in pool.instances)
        if pool.slow < self.serving.grow_after or loading:
            return False
        gpu = self._home(pool)
        if gpu is None:
            return False
        pool.slow = 0
        instance = self.world.add_instance(pool.segment.id, gpu, LOADING)
        gpu.room += instance.weights  # `load` takes it
        self.residency.load(instance)
        self.world.counts.grown += 1
        return True

    def _delay_s(self, pool: Pool) -> float:
        """Mean wait of prompts that have begun, or of the one that waits now, if that is longer."""
        world = self.world
        delay = pool.delay_s / pool.delayed if pool.delayed else 0.0
        waiting = [(i.begun or i.prompts)[0] for i in pool.instances if i.begun or i.prompts]
        waiting += [pool.common[0]] if pool.common else []
        return max([delay, *(world.now - world.since[request] for request in waiting)])

    def _home(self, pool: Pool) -> Gpu | None:
        """The least used GPU with room for a copy; a GPU that holds the block's neighbours before others."""
        world, segment = self.world, pool.segment
        near = {
            other
            for chain in world.content.chains
            if segment.id in chain
            for other in chain
            if other != segment.id
        }
        free: list[tuple[bool, float, int, Gpu]] = []
        for gpu in world.gpus:
            left = gpu.room - segment.weight_bytes
            keep = max(self.serving.kv_reserve * gpu.capacity, segment.context_bytes)
            holds = [i.segment.id for i in gpu.instances]
            if segment.id in holds or left < keep or left < gpu.kv or gpu.cold:
                continue
            busy = sum(i.busy_s - i.since_busy_s for i in gpu.instances)
            local = self.serving.placement == "locality" and bool(near & set(holds))
            crowded = busy > 0.5 * self.serving.window_s
            free.append((crowded, busy if crowded or not local else -1.0, gpu.id, gpu))
        return min(free)[3] if free else None

    def _shrink(self, pool: Pool) -> bool:
        """Drain the copy that has been idle for long enough; the last one stays."""
        serving = self.serving
        drained = False
        for instance in list(pool.instances):
            used = instance.busy_s - instance.since_busy_s
            instance.since_busy_s = instance.busy_s
            # A part of a model is busy for its part of the time.
            busy_s = serving.shrink_below * instance.segment.share * serving.window_s
            quiet = instance.state == READY and used < busy_s
            instance.idle = instance.idle + 1 if quiet else 0
            if instance.idle >= serving.shrink_after and self._others(pool, instance) and not drained:
                self._drain(pool, instance)
                drained = True
        return drained

    def _others(self, pool: Pool, instance: Instance) -> bool:
        return any(other.state == READY for other in pool.instances if other is not instance)

    def _drain(self, pool: Pool, instance: Instance) -> None:
        """No new requests; it goes once it holds none."""
        world = self.world
        pool.instances.remove(instance)
        instance.state = DRAINING
        instance.common = world.nothing
        world.counts.shrunk += 1
        waiting = list(instance.prompts)
        instance.prompts.clear()
        for request in waiting:
            instance.queued -= world.length[request]
            path = self.dispatcher.route(request)
            world.paths[request] = path
            since = world.since[request]
            world.put_prompt(request, path.first)
            world.since[request] = since
        if not instance.resident:
            self.residency.remove(instance)
